//! The plain ways of matching that the index is measured against.

use std::collections::HashMap;
use std::hash::Hash;

use roaring::RoaringBitmap;
use rustc_hash::FxHashSet;

use super::workload::{Key, Wish, Workload};

/// A linear scan: two hash sets for each subscription.
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
        let is_project = self.projects.as_ref().is_none_or(|projects| projects.contains(&key.project));
        (is_type || self.groups.contains(&key.group))
            && (is_project || self.companies.contains(&key.company))
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

/// One bitmap of subscriptions for each type, group, project and company, and the formula over them.
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
