//! The simple implementations of matching that the index is compared with.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use postrider::model::event::EventContent;
use postrider::model::name::{CompanyId, EventType, ProjectId};
use postrider::model::selector::{EventPattern, ProjectPattern};
use postrider::model::subscription::SubscriptionSpec;
use roaring::RoaringBitmap;
use rustc_hash::FxHashSet;

use super::workload::{Key, Wish, Workload};

/// A linear scan with string names, as one would write it first: hash sets of the standard library for the
/// names of a subscription, and short lists for the parts that are usually empty.
pub struct NameScan(Vec<NameSets>);

struct NameSets {
    types: Option<HashSet<EventType>>,
    prefixes: Vec<String>,
    except_types: Vec<EventType>,
    projects: Option<HashSet<ProjectId>>,
    companies: Vec<CompanyId>,
    except_projects: Vec<ProjectId>,
}

impl NameSets {
    fn new(spec: &SubscriptionSpec) -> Self {
        let mut sets = Self {
            types: None,
            prefixes: Vec::new(),
            except_types: Vec::new(),
            projects: None,
            companies: Vec::new(),
            except_projects: Vec::new(),
        };
        let (mut types, mut projects) = (HashSet::new(), HashSet::new());
        let (mut is_for_all_types, mut is_for_all_projects) = (false, false);
        for pattern in spec.events.includes() {
            match pattern {
                EventPattern::All => is_for_all_types = true,
                EventPattern::Prefix(prefix) => sets.prefixes.push(prefix.to_string()),
                EventPattern::Exact(name) => drop(types.insert(name.clone())),
            }
        }
        for pattern in spec.projects.includes() {
            match pattern {
                ProjectPattern::All => is_for_all_projects = true,
                ProjectPattern::AnyCompany(name) => drop(projects.insert(name.clone())),
                ProjectPattern::Company(name) => sets.companies.push(name.clone()),
                ProjectPattern::Exact(..) => unreachable!("no workload has pairs"),
            }
        }
        let exact = |pattern: &EventPattern| match pattern {
            EventPattern::Exact(name) => name.clone(),
            _ => unreachable!("no workload takes prefixes out"),
        };
        let project = |pattern: &ProjectPattern| match pattern {
            ProjectPattern::AnyCompany(name) => name.clone(),
            _ => unreachable!("no workload takes companies out"),
        };
        sets.except_types = spec.events.excludes().map(exact).collect();
        sets.except_projects = spec.projects.excludes().map(project).collect();
        sets.types = (!is_for_all_types).then_some(types);
        sets.projects = (!is_for_all_projects).then_some(projects);
        sets
    }

    fn contains(&self, event: &EventContent) -> bool {
        let is_type = self.types.as_ref().is_none_or(|types| types.contains(&event.event_type));
        let is_project = || self.projects.as_ref().is_none_or(|projects| projects.contains(&event.project));
        let is_company = || event.company.as_ref().is_some_and(|company| self.companies.contains(company));
        let starts_so = |prefix: &String| event.event_type.as_str().starts_with(&**prefix);
        (is_type || self.prefixes.iter().any(starts_so))
            && (is_project() || is_company())
            && !self.except_types.contains(&event.event_type)
            && !self.except_projects.contains(&event.project)
    }
}

impl NameScan {
    pub fn new(specs: &[SubscriptionSpec]) -> Self {
        Self(specs.iter().map(NameSets::new).collect())
    }

    pub fn match_into(&self, event: &EventContent, out: &mut Vec<u32>) {
        out.clear();
        out.extend(
            (0..).zip(&self.0).filter(|(_, sets)| sets.contains(event)).map(|(slot, _): (u32, _)| slot),
        );
    }
}

/// A linear scan with numbers instead of names: two sets with a fast hash per subscription.
pub struct Scan(Vec<Sets>);

struct Sets {
    types: Option<FxHashSet<u32>>,
    groups: Vec<u32>,
    except_types: Vec<u32>,
    projects: Option<FxHashSet<u32>>,
    companies: Vec<u32>,
    except_projects: Vec<u32>,
}

impl Sets {
    fn new(wish: &Wish) -> Self {
        let set = |numbers: &[u32], is_all: bool| (!is_all).then(|| numbers.iter().copied().collect());
        Self {
            types: set(&wish.types, wish.is_for_all_types()),
            groups: wish.groups.clone(),
            except_types: wish.except_types.clone(),
            projects: set(&wish.projects, wish.is_for_all_projects()),
            companies: wish.companies.clone(),
            except_projects: wish.except_projects.clone(),
        }
    }

    fn contains(&self, key: &Key) -> bool {
        let is_type = self.types.as_ref().is_none_or(|types| types.contains(&key.event_type));
        let is_project = || self.projects.as_ref().is_none_or(|projects| projects.contains(&key.project));
        (is_type || self.groups.contains(&key.group))
            && (is_project() || self.companies.contains(&key.company))
            && !self.except_types.contains(&key.event_type)
            && !self.except_projects.contains(&key.project)
    }
}

impl Scan {
    pub fn new(workload: &Workload) -> Self {
        Self(workload.wishes.iter().map(Sets::new).collect())
    }

    pub fn match_into(&self, key: &Key, out: &mut Vec<u32>) {
        out.clear();
        out.extend((0..).zip(&self.0).filter(|(_, sets)| sets.contains(key)).map(|(slot, _): (u32, _)| slot));
    }

    pub fn matches(&self, key: &Key) -> Vec<u32> {
        let mut out = Vec::new();
        self.match_into(key, &mut out);
        out
    }
}

/// A formula over bitmaps with numbers instead of names: one bitmap of subscriptions for each type, group,
/// project and company.
#[derive(Default)]
pub struct Formula {
    all_types: RoaringBitmap,
    types: HashMap<u32, RoaringBitmap>,
    groups: HashMap<u32, RoaringBitmap>,
    except_types: HashMap<u32, RoaringBitmap>,
    all_projects: RoaringBitmap,
    projects: HashMap<u32, RoaringBitmap>,
    companies: HashMap<u32, RoaringBitmap>,
    except_projects: HashMap<u32, RoaringBitmap>,
}

fn insert<K: Hash + Eq + Copy>(bitmaps: &mut HashMap<K, RoaringBitmap>, keys: &[K], slot: u32) {
    for key in keys {
        bitmaps.entry(*key).or_default().insert(slot);
    }
}

impl Formula {
    pub fn new(workload: &Workload) -> Self {
        let mut formula = Self::default();
        for (slot, wish) in (0..).zip(&workload.wishes) {
            if wish.is_for_all_types() {
                formula.all_types.insert(slot);
            }
            if wish.is_for_all_projects() {
                formula.all_projects.insert(slot);
            }
            insert(&mut formula.types, &wish.types, slot);
            insert(&mut formula.groups, &wish.groups, slot);
            insert(&mut formula.except_types, &wish.except_types, slot);
            insert(&mut formula.projects, &wish.projects, slot);
            insert(&mut formula.companies, &wish.companies, slot);
            insert(&mut formula.except_projects, &wish.except_projects, slot);
        }
        formula
    }

    pub fn match_into(&self, key: &Key, out: &mut Vec<u32>) {
        out.clear();
        out.extend(self.evaluate(key).iter());
    }

    fn evaluate(&self, key: &Key) -> RoaringBitmap {
        let union = |all: &RoaringBitmap, parts: [Option<&RoaringBitmap>; 2]| {
            parts.into_iter().flatten().fold(all.clone(), |union, part| union | part)
        };
        let types = union(&self.all_types, [self.types.get(&key.event_type), self.groups.get(&key.group)]);
        let projects =
            union(&self.all_projects, [self.projects.get(&key.project), self.companies.get(&key.company)]);
        let mut result = types & projects;
        let excepts = [self.except_types.get(&key.event_type), self.except_projects.get(&key.project)];
        for except in excepts.into_iter().flatten() {
            result -= except;
        }
        result
    }

    pub fn matches(&self, key: &Key) -> Vec<u32> {
        self.evaluate(key).iter().collect()
    }
}
