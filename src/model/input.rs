//! Subscriptions as a person gives them. The API, the config file and the page share this one reading.
//!
//! Every member is read on its own, so that all problems are reported at once, each with its pointer. A change
//! (PATCH) is merged into the present settings and the result is read as a whole, so that one set of rules holds.

use serde_json::{Map, Value};

use super::pointer;
use super::problem::{Problem, nearest};
use super::secret::Secret;
use super::setting::reader::MemberReader;
use super::setting::{SETTINGS, SubscriptionSpec};

/// The members beside the settings that a new subscription may have.
const OTHER_MEMBERS: [&str; 2] = ["enabled", "secret"];

/// A subscription as a person gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionInput {
    /// The settings of the subscription.
    pub spec: SubscriptionSpec,
    /// Whether to enable it, if that was given.
    pub enabled: Option<bool>,
    /// The signing secret, if one was given.
    pub secret: Option<Secret>,
}

impl SubscriptionInput {
    /// Reads the members of a new subscription.
    ///
    /// # Errors
    /// Returns every problem, each with its pointer.
    pub fn read(members: &Map<String, Value>) -> Result<Self, Vec<Problem>> {
        let mut reader = MemberReader::new(members);
        // A URL with a problem leaves the example in its place, so that the other members are read too.
        let mut spec = SubscriptionSpec::example();
        let (first, rest): (Vec<_>, Vec<_>) = SETTINGS.iter().partition(|setting| setting.is_required());
        for setting in first.into_iter().chain(rest) {
            (setting.read)(&mut reader, &mut spec);
        }
        let input = Self { spec, enabled: reader.enabled(), secret: reader.opaque("secret") };
        let mut problems = unknown_members(members);
        problems.extend(reader.into_problems());
        if problems.is_empty() { Ok(input) } else { Err(problems) }
    }

    /// Reads a change to `present`: a given member replaces the present one, and `null` restores the default.
    ///
    /// Removing the client certificate also removes its key.
    ///
    /// # Errors
    /// Returns every problem that the settings as a whole would have, as [`read`](Self::read) does.
    pub fn read_change(
        present: &SubscriptionSpec,
        change: &Map<String, Value>,
    ) -> Result<Self, Vec<Problem>> {
        let mut members = present.to_members_with_secrets();
        if change.get("tls_client_cert").is_some_and(Value::is_null) {
            members.remove("tls_client_key");
        }
        members.extend(change.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self::read(&members)
    }
}

impl SubscriptionSpec {
    /// Reads the settings from a JSON object of the API's members.
    ///
    /// # Errors
    /// Returns every problem, each with its pointer.
    pub fn read(members: &Value) -> Result<Self, Vec<Problem>> {
        let not_object = || vec![Problem::new("", "is not an object")];
        Ok(SubscriptionInput::read(members.as_object().ok_or_else(not_object)?)?.spec)
    }
}

/// Returns a problem for each member that a subscription does not have.
fn unknown_members(members: &Map<String, Value>) -> Vec<Problem> {
    let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).chain(OTHER_MEMBERS).collect();
    let unknown = members.keys().filter(|name| !known.contains(&name.as_str()));
    let problem = |name: &String| {
        let hint = nearest(name, known.iter().copied()).map_or_else(
            || format!("expected {}", known.join(", ")),
            |near| format!("did you mean '{near}'?"),
        );
        let pointer = format!("/{}", pointer::escape(name));
        Problem::new(pointer, format_args!("is not a member of a subscription: {hint}"))
    };
    unknown.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::selector::{EventSelector, ProjectSelector};

    fn read(value: &Value) -> Result<SubscriptionInput, Vec<Problem>> {
        SubscriptionInput::read(value.as_object().unwrap())
    }

    #[test]
    fn every_setting_but_the_url_has_a_default() {
        let input = read(&json!({"url": "https://crm.internal/hooks"})).unwrap();
        assert_eq!(input.spec.name, "crm.internal");
        let label = "a".repeat(63);
        let input = read(&json!({"url": format!("https://{label}.{label}.{label}/hooks")})).unwrap();
        assert_eq!(input.spec.name, format!("{label}.{label}."));
        assert_eq!(read(&Value::Object(input.spec.to_members())).unwrap().spec, input.spec);
        assert_eq!((input.spec.events, input.spec.projects), (EventSelector::all(), ProjectSelector::all()));
        assert_eq!((input.enabled, input.secret), (None, None));
    }

    #[test]
    fn settings_read_back_from_their_members() {
        let full = json!({
            "name": "crm", "url": "https://u:p@crm.internal/hooks?x=1", "events": ["TODO_*", "!TODO_DELETED"],
            "projects": ["acme/*"], "filter": "event.data.x > 1", "format": "blue", "headers": {"x-team": "a"},
            "timeout": "3s", "retry_schedule": ["1s", "2m"], "max_in_flight": 4, "rate_limit": "50/s", "ordering": "fifo",
            "tls_ca": null, "tls_client_cert": null, "notify_email": "ops@acme.example",
        });
        let spec = read(&full).unwrap().spec;
        assert_eq!(Value::Object(spec.to_members()), full);
        let change = json!({"timeout": null, "events": ["*"]});
        let changed = SubscriptionInput::read_change(&spec, change.as_object().unwrap()).unwrap().spec;
        assert_eq!((changed.timeout, changed.events), (None, EventSelector::all()));
        assert_eq!(changed.rate_limit, spec.rate_limit);
    }

    /// Returns a self-signed certificate and its key, as PEM.
    fn identity(name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_client_key_is_kept_with_its_certificate_and_never_shown() {
        let (ca, (cert, key)) = (identity("ca").0, identity("us"));
        let full =
            json!({"url": "https://crm/", "tls_ca": ca, "tls_client_cert": cert, "tls_client_key": key});
        let spec = read(&full).unwrap().spec;
        let shown = spec.to_members();
        assert_eq!((&shown["tls_ca"], &shown["tls_client_cert"]), (&json!(ca), &json!(cert)));
        assert!(!format!("{shown:?}{spec:?}").contains("PRIVATE"));
        let change = |change: Value| SubscriptionInput::read_change(&spec, change.as_object().unwrap());
        assert_eq!(change(json!({"name": "x"})).unwrap().spec.tls, spec.tls);
        let plain = change(json!({"tls_client_cert": null})).unwrap().spec.tls;
        assert!(plain.client().is_none() && plain.authorities().is_some());
        let (cert, key) = identity("us");
        let renewed = change(json!({"tls_client_cert": cert, "tls_client_key": key})).unwrap().spec.tls;
        assert_eq!(renewed.client().unwrap().key().reveal(), key);
        let pointers = |change: Result<SubscriptionInput, Vec<Problem>>| {
            change.unwrap_err().into_iter().map(|p| p.pointer).collect::<Vec<_>>()
        };
        assert_eq!(pointers(change(json!({"tls_client_cert": cert}))), ["/tls_client_key"]);
        assert_eq!(pointers(change(json!({"tls_client_key": null}))), ["/tls_client_key"]);
        let all = ["/tls_ca", "/tls_client_cert", "/tls_client_key"];
        assert_eq!(pointers(change(json!({"url": "http://crm/"}))), all);
        assert_eq!(
            pointers(read(&json!({"url": "https://crm/", "tls_client_key": key}))),
            ["/tls_client_cert"]
        );
        let bad = json!({"url": "https://crm/", "tls_ca": "x", "tls_client_cert": 5, "tls_client_key": "x"});
        let problems = read(&bad).unwrap_err();
        assert_eq!(problems.iter().map(|p| p.pointer.as_str()).collect::<Vec<_>>(), all, "{problems:?}");
    }

    #[test]
    fn every_problem_is_reported_with_its_pointer() {
        let problems = read(&json!({
            "url": "ftp://x/", "events": [], "projects": ["a b", 5, "ok"], "headers": {"Host": "x", "ok": "y"}, "timeout": "1h",
            "retry_schedule": ["1s", "soon"], "max_in_flight": 0, "ordering": "lifo", "evnts": [], "enabled": 1,
        }))
        .unwrap_err();
        let mut pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
        pointers.sort_unstable();
        let expected = [
            "/enabled",
            "/events",
            "/evnts",
            "/headers/Host",
            "/max_in_flight",
            "/ordering",
            "/projects/1",
            "/retry_schedule/1",
            "/timeout",
            "/url",
        ];
        assert_eq!(pointers, expected, "{problems:#?}");
        let typo = problems.iter().find(|p| p.pointer == "/evnts").unwrap();
        assert_eq!(typo.detail, "is not a member of a subscription: did you mean 'events'?");
    }
}
