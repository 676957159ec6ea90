//! Trace context between programs: W3C Trace Context, Level 2.

use std::fmt;

/// The longest `tracestate` that is forwarded, which is the least that the standard requires.
const STATE_BYTES_MAX: usize = 512;

/// The flags of version 00 and Level 2: sampled, and random trace id. Other flags are not forwarded.
const FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b01;

/// The id of a trace. It is not all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// The id of a span in a trace. It is not all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// Creates an id from bytes. Returns `None` if all of them are zero.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Creates an id from a hash.
    pub fn from_hash(hash: u128) -> Self {
        Self(hash.max(1).to_be_bytes())
    }

    /// Returns the bytes of the id.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// Creates an id from bytes. Returns `None` if all of them are zero.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Creates an id from a hash.
    pub fn from_hash(hash: u64) -> Self {
        Self(hash.max(1).to_be_bytes())
    }

    /// Returns the bytes of the id.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

/// A position in a trace: the trace, and the span that caused the current step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The id of the trace.
    pub trace: TraceId,
    /// The span that caused the current step.
    pub parent: SpanId,
    flags: u8,
    state: Option<Box<str>>,
}

impl TraceContext {
    /// Creates a context without a `tracestate`.
    pub fn new(trace: TraceId, parent: SpanId, is_sampled: bool) -> Self {
        Self { trace, parent, flags: if is_sampled { SAMPLED } else { 0 }, state: None }
    }

    /// Parses the headers `traceparent` and `tracestate`.
    ///
    /// Returns `None` if `traceparent` is invalid. The caller then begins a new trace without an error, as
    /// the standard requires. A `tracestate` that is too long, or contains characters other than visible
    /// ASCII, is dropped.
    pub fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        let (version, rest) = parent.split_at_checked(2)?;
        let version = hex_byte(version)?;
        let fields = rest.get(..53)?;
        let is_whole = match version {
            0 => rest.len() == fields.len(),
            0xff => false,
            // Later versions can add fields after a dash.
            _ => rest.get(53..).is_some_and(|more| more.is_empty() || more.starts_with('-')),
        };
        let mut fields = fields.strip_prefix('-')?.split('-');
        let (trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?);
        if !is_whole || fields.next().is_some() || flags.len() != 2 {
            return None;
        }
        Some(Self {
            trace: TraceId::new(hex(trace)?)?,
            parent: SpanId::new(hex(span)?)?,
            flags: hex_byte(flags)? & FLAGS,
            state: state.map(str::trim).filter(|state| is_state(state)).map(Into::into),
        })
    }

    /// Returns whether the sender wants the trace to be recorded.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Returns the value of `tracestate`, if there is one.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Returns the same trace with another parent span.
    #[must_use]
    pub fn with_parent(&self, parent: SpanId) -> Self {
        Self { parent, ..self.clone() }
    }
}

/// Formats the value of `traceparent`, in version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = u128::from_be_bytes(self.trace.0);
        let parent = u64::from_be_bytes(self.parent.0);
        write!(f, "00-{trace:032x}-{parent:016x}-{:02x}", self.flags)
    }
}

/// Decodes `N` bytes of lower-case hex.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

fn hex_byte(text: &str) -> Option<u8> {
    hex::<1>(text).map(|[byte]| byte)
}

fn is_state(text: &str) -> bool {
    (1..=STATE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn context_is_forwarded_unchanged() {
        let context = TraceContext::read(PARENT, Some("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")).unwrap();
        assert_eq!(context.to_string(), PARENT);
        assert_eq!(context.state(), Some("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"));
        assert!(context.is_sampled());
        let other = context.with_parent(SpanId::new([0xab; 8]).unwrap());
        assert_eq!(other.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-01");
        assert_eq!(other.state(), context.state());
    }

    #[test]
    fn later_versions_parse_as_version_00() {
        let known = PARENT.strip_prefix("00").unwrap();
        for later in [format!("01{known}"), format!("cc{known}-what-the-future-holds")] {
            assert_eq!(TraceContext::read(&later, None).unwrap().to_string(), PARENT);
        }
        let flags = TraceContext::read(&PARENT.replace("-01", "-ff"), None).unwrap();
        assert_eq!(flags.to_string(), PARENT.replace("-01", "-03"));
    }

    #[test]
    fn invalid_traceparent_is_rejected() {
        let known = PARENT.strip_prefix("00").unwrap();
        for bad in [
            String::new(),
            PARENT.to_uppercase(),
            format!("{PARENT}-"),
            format!("{PARENT}0"),
            format!("ff{known}"),
            format!("0g{known}"),
            format!("01{known}."),
            format!(" {PARENT}"),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            PARENT.replacen('-', "_", 1),
            PARENT.replace("736-00f", "73-600f"),
            PARENT.replace("-01", "--1"),
            PARENT[..54].to_owned(),
            "å".repeat(40),
        ] {
            assert_eq!(TraceContext::read(&bad, None), None, "{bad}");
        }
    }

    #[test]
    fn invalid_tracestate_is_dropped() {
        let state = |state: &str| TraceContext::read(PARENT, Some(state)).unwrap().state().map(str::to_owned);
        assert_eq!(state(&"x".repeat(512)), Some("x".repeat(512)));
        assert_eq!(state(" a=1 "), Some("a=1".to_owned()));
        for bad in ["", "  ", &"x".repeat(513), "a=å", "a=\r\nb: c"] {
            assert_eq!(state(bad), None, "{bad:?}");
        }
    }
}
