//! Opens, recovers, binds, spawns the loops, and stops them in reverse.
