//! stand-in: linear scan
use super::filter::Filter;
use crate::model::{event::*, id::*, subscription::*, time::*};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
#[derive(Clone)]
struct One {
    spec: SubscriptionSpec,
    on: bool,
}
#[derive(Clone, Default)]
pub struct Snapshot(BTreeMap<SubscriptionId, One>);
pub struct Index(Arc<ArcSwap<Snapshot>>);
pub struct IndexWriter(Arc<ArcSwap<Snapshot>>, Snapshot);
#[derive(Default)]
pub struct Matches(Vec<SubscriptionId>);
impl Matches {
    pub fn iter(&self) -> impl Iterator<Item = SubscriptionId> + '_ {
        self.0.iter().copied()
    }
}
pub struct Candidate<'a>(&'a EventContent);
impl<'a> Candidate<'a> {
    pub fn new(c: &'a EventContent, _: Timestamp) -> Self {
        Self(c)
    }
}
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activity {
    Active,
    Inactive,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Matches,
    Events,
    Projects,
    Filter,
    Disabled,
}
impl Index {
    pub fn build<'a>(
        all: impl Iterator<Item = (SubscriptionId, &'a SubscriptionSpec, Option<Filter>, Activity)>,
    ) -> (Self, IndexWriter) {
        let s = Snapshot(
            all.map(|(id, spec, _, a)| (id, One { spec: spec.clone(), on: a == Activity::Active })).collect(),
        );
        let a = Arc::new(ArcSwap::from_pointee(s.clone()));
        (Self(a.clone()), IndexWriter(a, s))
    }
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
    pub fn filter_errors(&self, _: SubscriptionId) -> Option<FilterErrors> {
        None
    }
}
impl Snapshot {
    pub fn match_into(&self, c: &Candidate<'_>, m: &mut Matches) {
        m.0.clear();
        for id in self.0.keys() {
            if self.explain(*id, c) == Some(Verdict::Matches) {
                m.0.push(*id);
            }
        }
    }
    pub fn explain(&self, id: SubscriptionId, c: &Candidate<'_>) -> Option<Verdict> {
        let o = self.0.get(&id)?;
        let c = c.0;
        Some(if !o.on {
            Verdict::Disabled
        } else if !o.spec.events.contains(&c.event_type) {
            Verdict::Events
        } else if !o.spec.projects.contains(&c.project, c.company.as_ref()) {
            Verdict::Projects
        } else {
            Verdict::Matches
        })
    }
}
impl IndexWriter {
    pub fn put(&mut self, id: SubscriptionId, spec: &SubscriptionSpec, _: Option<Filter>, a: Activity) {
        self.1.0.insert(id, One { spec: spec.clone(), on: a == Activity::Active });
    }
    pub fn remove(&mut self, id: SubscriptionId) {
        self.1.0.remove(&id);
    }
    pub fn set_activity(&mut self, id: SubscriptionId, a: Activity) {
        if let Some(o) = self.1.0.get_mut(&id) {
            o.on = a == Activity::Active;
        }
    }
    pub fn commit(&mut self) -> u64 {
        self.0.store(Arc::new(self.1.clone()));
        0
    }
}
#[derive(Default)]
pub struct FilterErrors {
    pub count: u64,
    pub last: Option<String>,
}
