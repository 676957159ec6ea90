//! Sets of small integers, adaptive between a sorted array and a bitmap.
