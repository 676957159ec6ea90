//! Reads the output of `strace -f -y`: system calls with their beginning and their end.

use std::collections::HashMap;

/// A system call. Its position in the trace is the order in which the kernel saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The line on which the call began.
    pub(crate) begin: usize,
    /// The line on which the call ended.
    pub(crate) end: usize,
    /// The call and its result, such as `fdatasync(8</data/db>) = 0`, without the process id.
    pub(crate) text: String,
}

impl Call {
    /// Returns whether the call is a successful sync of the store's data file.
    pub(crate) fn is_sync_of(&self, data: &str) -> bool {
        let sync = self.text.starts_with("fdatasync(") || self.text.starts_with("fsync(");
        let file = self.text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let of_data = file.is_some_and(|(path, _)| path.starts_with(data) && path.ends_with("/db"));
        sync && of_data && self.text.ends_with("= 0")
    }

    /// Returns the socket that the call reads from or writes to.
    fn socket(&self) -> Option<&str> {
        let (_, rest) = self.text.split_once("<socket:[")?;
        rest.split_once(']').map(|(inode, _)| inode)
    }
}

/// Reads a trace. A call that another thread interrupted has two lines.
pub(crate) fn read(trace: &str) -> Vec<Call> {
    let mut open: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((process, text)) = text.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            open.insert(process, (line, begun.trim_end()));
        } else if let Some((_, rest)) =
            text.strip_prefix("<... ").and_then(|rest| rest.split_once("resumed>"))
        {
            if let Some((begin, begun)) = open.remove(process) {
                calls.push(Call { begin, end: line, text: format!("{begun}{rest}") });
            }
        } else {
            calls.push(Call { begin: line, end: line, text: text.to_owned() });
        }
    }
    calls.sort_by_key(|call| call.begin);
    calls
}

/// A request to `POST /v1/events` that was answered with 202.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The line on which the beginning of the request had been read.
    pub(crate) read: usize,
    /// The line on which the daemon began to write the response.
    pub(crate) answered: usize,
    /// Whether a sync of the data file began after the read and ended before the response.
    pub(crate) synced: bool,
}

/// Returns every 202 of the trace, in order.
pub(crate) fn accepted(calls: &[Call], data: &str) -> Vec<Accepted> {
    let syncs: Vec<&Call> = calls.iter().filter(|call| call.is_sync_of(data)).collect();
    let mut reading: HashMap<&str, usize> = HashMap::new();
    let mut accepted = Vec::new();
    for call in calls {
        let Some(socket) = call.socket() else { continue };
        if call.text.contains("\"POST /v1/events ") {
            reading.insert(socket, call.end);
        } else if call.text.contains("\"HTTP/1.1 202 ") {
            let Some(read) = reading.remove(socket) else { continue };
            let answered = call.begin;
            let synced = syncs.iter().any(|sync| sync.begin > read && sync.end < answered);
            accepted.push(Accepted { read, answered, synced });
        }
    }
    accepted
}
