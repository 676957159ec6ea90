//! Tables of bodies and what is read from them.

use super::*;

fn json(text: &str) -> Result<Submission, SubmissionError> {
    read_json(&Bytes::copy_from_slice(text.as_bytes()), 3)
}

fn lines(text: &str) -> Result<Submission, SubmissionError> {
    read_lines(&Bytes::copy_from_slice(text.as_bytes()), 3)
}

fn one(text: &str) -> EventContent {
    match json(text) {
        Ok(Submission::One(event)) => event,
        other => panic!("{text}: {other:?}"),
    }
}

/// Returns `pointer: detail` of each problem of either kind.
fn problems(result: Result<Submission, SubmissionError>) -> Vec<String> {
    match result {
        Err(SubmissionError::Malformed(problems) | SubmissionError::Invalid(problems)) => {
            problems.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_is_kept_byte_for_byte() {
    for data in [
        "null",
        "true",
        "0.1000000000000000055511151231257827",
        "-0",
        "1e999999",
        "123456789012345678901234567890",
        r#"{"b":1,  "a" : [ 1 ,2 ],"b":2}"#,
        r#""two  spaces, \u00e5, \/ and å""#,
        r#"{"lone": "\ud800"}"#,
        "{\n\t\"x\":\r\n1 }",
        "\"\u{2028}\u{1f600}\"",
        "[]",
    ] {
        let text = format!("{{\"type\":\"T\", \"data\" :  {data} ,\"project\":\"p\"}}");
        assert_eq!(one(&text).data.unwrap(), data, "{data}");
        let list = json(&format!("[{text}]")).unwrap();
        assert!(
            matches!(list, Submission::List(events) if events[0].data.as_deref() == Some(data.as_bytes()))
        );
    }
    assert_eq!(one(r#"{"type":"T","project":"p"}"#).data, None);
}

#[test]
fn large_data_shares_the_body_and_small_data_does_not() {
    for (bytes, shared) in [(10, false), (COPY_BYTES_MAX + 1, true)] {
        let data = format!("\"{}\"", "x".repeat(bytes));
        let body = Bytes::from(format!("{{\"type\":\"T\",\"project\":\"p\",\"data\":{data}}}"));
        let Ok(Submission::One(event)) = read_json(&body, 1) else { panic!("{bytes}") };
        let kept = event.data.unwrap();
        assert_eq!(kept, data);
        assert_eq!(body.as_ptr_range().contains(&kept.as_ptr()), shared, "{bytes}");
    }
}

#[test]
fn every_member_is_read() {
    let event = one(
        r#"{"type":"TODO_\u0043REATED","project":"website","company":"acme","id":"a/b","occurred_at":"2021-02-25T16:02:10.001+01:00","data":1}"#,
    );
    assert_eq!(event.event_type.as_str(), "TODO_CREATED");
    assert_eq!(event.project.as_str(), "website");
    assert_eq!(event.company.unwrap().as_str(), "acme");
    assert_eq!(event.sender_id.unwrap().as_str(), "a/b");
    assert_eq!(event.occurred_at.unwrap().as_millis(), 1_614_265_330_001);
    let absent = one(r#"{"type":"T","project":"p","company":null,"id":null,"occurred_at":null}"#);
    assert_eq!((absent.company, absent.sender_id, absent.occurred_at), (None, None, None));
}

#[test]
fn all_problems_are_reported_at_once() {
    let list = r#"[
        {"type":"a b","projct":"p"},
        7,
        {"type":"T","project":5,"company":"","id":"a b","occurred_at":"soon","a/b~c":1,"type":"T"}
    ]"#;
    let expected = [
        "/0/projct: is not a member of an event: did you mean 'project'?",
        "/0/type: 'a b' has ' ': an event type consists of A-Z a-z 0-9 _ . - :",
        "/0/project: is missing",
        "/1: is a number: expected an event object",
        "/2/a~1b~0c: is not a member of an event: expected type, project, company, data, id, occurred_at",
        "/2/type: is given more than once: give it once",
        "/2/project: is a number: expected a string",
        "/2/company: is empty: a company id has 1 to 128 characters",
        "/2/id: 'a b' has ' ': an event's own id consists of visible ASCII characters",
        "/2/occurred_at: 'soon' is not an RFC 3339 time since 1970 such as 2026-01-31T08:00:00.000Z",
    ];
    assert_eq!(problems(json(list)), expected);
    assert_eq!(problems(json("null")), ["is null: expected an event object"]);
    assert_eq!(problems(json("{}")), ["/type: is missing", "/project: is missing"]);
}

#[test]
fn invalid_json_is_reported_with_its_position() {
    for (text, expected) in [
        ("", "line 1, column 0: EOF while parsing a value"),
        ("{", "line 1, column 1: EOF while parsing an object"),
        (r#"{"type":"T","project":"p"} x"#, "line 1, column 28: trailing characters"),
        (r#"[{"type":"T","project":"p"}] []"#, "line 1, column 30: trailing characters"),
        (r#"{"type":"T","project":"p",}"#, "line 1, column 27: trailing comma"),
        ("{\n'a':1}", "line 2, column 1: key must be a string"),
    ] {
        assert_eq!(problems(json(text)), [expected], "{text}");
    }
    let body = Bytes::from_static(b"{\"type\":\"\xff\"}");
    assert_eq!(problems(read_json(&body, 1)), ["is not UTF-8: byte 9 is not part of a character"]);
}

#[test]
fn a_byte_order_mark_is_ignored() {
    assert_eq!(one("\u{feff}{\"type\":\"T\",\"project\":\"p\"}").event_type.as_str(), "T");
}

#[test]
fn the_length_of_a_list_is_limited_and_may_be_zero() {
    let event = r#"{"type":"T","project":"p"}"#;
    for (count, fits) in [(0, true), (1, true), (3, true), (4, false), (9, false)] {
        let array = format!("[{}]", vec![event; count].join(","));
        let text = format!("{event}\n").repeat(count);
        for result in [json(&array), lines(&text)] {
            match result {
                Ok(Submission::List(events)) => assert!(fits && events.len() == count),
                Err(SubmissionError::TooMany { events }) => assert!(!fits && events == count),
                other => panic!("{count}: {other:?}"),
            }
        }
    }
}

#[test]
fn blank_lines_are_ignored_and_invalid_lines_are_reported_by_number() {
    let good =
        "\n{\"type\":\"T\",\"project\":\"p\"}\r\n  \n{\"type\":\"U\",\"project\":\"p\",\"data\":[1,  2]}";
    let Ok(Submission::List(events)) = lines(good) else { panic!("refused") };
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].data.as_deref(), Some(&b"[1,  2]"[..]));
    let bad = "{\"type\":\"T\",\"project\":\"p\"}\n\n{\"type\":\"T\"}\n{\"type\":}";
    let expected = ["/2: line 4, column 9: expected value", "/1/project: line 3: is missing"];
    assert_eq!(problems(lines(bad)), expected);
}

#[test]
fn the_nesting_of_data_is_limited() {
    for (depth, fits) in [(1, true), (NESTING_MAX, true), (NESTING_MAX + 1, false), (50_000, false)] {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let result = json(&format!("{{\"type\":\"T\",\"project\":\"p\",\"data\":{data}}}"));
        assert_eq!(result.is_ok(), fits, "{depth}");
    }
    let wide = format!("[{}\"[[[\\\"[\"]", "[],".repeat(500));
    assert_eq!(nesting(&wide), 2);
}
