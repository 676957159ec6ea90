//! Subscriptions and events with known distributions, the same for the index and all baselines.

use postrider::model::event::EventContent;
use postrider::model::selector::{EventSelector, ProjectSelector};
use postrider::model::subscription::SubscriptionSpec;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// The number of event types that share a prefix.
const GROUP: u32 = 10;
/// The number of projects of a company.
const COMPANY: u32 = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each subscription wants 1 to 5 of 50 types, and 1 to 10 of 10,000 projects.
    Selective,
    /// Like `Selective` with 200 types, but 30 % want all types or all projects, and some have prefixes and
    /// exclusions.
    Broad,
    /// Each subscription wants each of 20 types and 10 projects with a probability of 71 %, so half of all
    /// match.
    Half,
    /// Each wants 1 to 5 of 500 types and 1 to 10 of a million projects. Both, and the events, follow Zipf's
    /// law with 0.99.
    Skewed,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Selective, Self::Broad, Self::Half, Self::Skewed];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Selective => "selective",
            Self::Broad => "broad",
            Self::Half => "half",
            Self::Skewed => "skewed",
        }
    }

    pub const fn types(self) -> u32 {
        match self {
            Self::Selective => 50,
            Self::Broad => 200,
            Self::Half => 20,
            Self::Skewed => 500,
        }
    }

    pub const fn projects(self) -> u32 {
        match self {
            Self::Selective | Self::Broad => 10_000,
            Self::Half => 10,
            Self::Skewed => 1_000_000,
        }
    }
}

/// The numbers that one subscription wants. No types and no groups means all types, and the same holds for
/// projects.
#[derive(Clone, Default)]
pub struct Wish {
    pub types: Vec<u32>,
    pub groups: Vec<u32>,
    pub except_types: Vec<u32>,
    pub projects: Vec<u32>,
    pub companies: Vec<u32>,
    pub except_projects: Vec<u32>,
}

/// The names of an event as numbers.
#[derive(Clone, Copy)]
pub struct Key {
    pub event_type: u32,
    pub group: u32,
    pub project: u32,
    pub company: u32,
}

pub struct Query {
    pub key: Key,
    pub event: EventContent,
}

pub struct Workload {
    pub kind: Kind,
    pub wishes: Vec<Wish>,
    draw: Draw,
}

/// The distributions of types and projects.
struct Draw {
    types: Vec<f64>,
    projects: Vec<f64>,
}

/// Returns the running sums of the weights of `count` items.
fn sums(count: u32, exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut next = |rank: u32| {
        sum += f64::from(rank).powf(-exponent);
        sum
    };
    (1..=count).map(&mut next).collect()
}

fn pick(rng: &mut StdRng, sums: &[f64]) -> u32 {
    let point = rng.random_range(0.0..*sums.last().unwrap());
    u32::try_from(sums.partition_point(|sum| *sum <= point)).unwrap()
}

fn picks(rng: &mut StdRng, sums: &[f64], most: u32) -> Vec<u32> {
    let count = rng.random_range(1..=most);
    let mut picked: Vec<u32> = (0..count).map(|_| pick(rng, sums)).collect();
    picked.sort_unstable();
    picked.dedup();
    picked
}

impl Workload {
    pub fn generate(kind: Kind, size: u32) -> Self {
        let exponent = if kind == Kind::Skewed { 0.99 } else { 0.0 };
        let draw = Draw { types: sums(kind.types(), exponent), projects: sums(kind.projects(), exponent) };
        let mut rng = StdRng::seed_from_u64(u64::from(size));
        let wishes = (0..size).map(|_| draw.wish(kind, &mut rng)).collect();
        Self { kind, wishes, draw }
    }

    pub fn specs(&self) -> Vec<SubscriptionSpec> {
        self.wishes.iter().map(Wish::spec).collect()
    }

    /// Draws another subscription with the same distribution.
    pub fn another(&self, rng: &mut StdRng) -> Wish {
        self.draw.wish(self.kind, rng)
    }

    pub fn queries(&self, count: usize) -> Vec<Query> {
        let mut rng = StdRng::seed_from_u64(42);
        let mut query = || {
            let (event_type, project) =
                (pick(&mut rng, &self.draw.types), pick(&mut rng, &self.draw.projects));
            let key = Key { event_type, group: event_type / GROUP, project, company: project / COMPANY };
            let event = EventContent {
                event_type: type_name(event_type).parse().unwrap(),
                project: project_name(project).parse().unwrap(),
                company: Some(company_name(key.company).parse().unwrap()),
                sender_id: None,
                occurred_at: None,
                data: None,
                trace: None,
            };
            Query { key, event }
        };
        (0..count).map(|_| query()).collect()
    }
}

impl Draw {
    fn wish(&self, kind: Kind, rng: &mut StdRng) -> Wish {
        let mut wish = Wish {
            types: picks(rng, &self.types, 5),
            projects: picks(rng, &self.projects, 10),
            ..Wish::default()
        };
        match kind {
            Kind::Selective => {}
            Kind::Half => {
                wish.types = (0..kind.types()).filter(|_| rng.random_bool(0.71)).collect();
                wish.projects = (0..kind.projects()).filter(|_| rng.random_bool(0.71)).collect();
            }
            Kind::Broad => match rng.random_range(0..100) {
                0..15 => wish.types.clear(),
                15..25 => wish.projects.clear(),
                25..30 => wish.except_projects = std::mem::take(&mut wish.projects),
                30..40 => wish.groups = vec![wish.types.pop().unwrap() / GROUP],
                40..50 => wish.want_group_except_one(rng),
                50..60 => wish.except_projects = vec![wish.projects[0] ^ 1],
                _ => {}
            },
            Kind::Skewed => match rng.random_range(0..100) {
                0..10 => wish.companies = vec![wish.projects.pop().unwrap() / COMPANY],
                10..15 => wish.except_types = vec![pick(rng, &self.types)],
                15..20 => wish.want_group_except_one(rng),
                _ => {}
            },
        }
        wish
    }
}

pub fn type_name(number: u32) -> String {
    format!("group{}.happened{}", number / GROUP, number)
}

fn project_name(number: u32) -> String {
    format!("project-{number}")
}

fn company_name(number: u32) -> String {
    format!("company-{number}")
}

impl Wish {
    /// Replaces one of its types with the type's whole group, and excludes another type of the group.
    fn want_group_except_one(&mut self, rng: &mut StdRng) {
        let group = self.types.pop().unwrap() / GROUP;
        self.groups = vec![group];
        self.except_types = vec![group * GROUP + rng.random_range(0..GROUP)];
    }

    /// Returns whether the subscription wants every type.
    pub fn is_for_all_types(&self) -> bool {
        self.types.is_empty() && self.groups.is_empty()
    }

    /// Returns whether the subscription wants every project.
    pub fn is_for_all_projects(&self) -> bool {
        self.projects.is_empty() && self.companies.is_empty()
    }

    pub fn spec(&self) -> SubscriptionSpec {
        let all = |is_all: bool| is_all.then(|| "*".to_owned());
        let types = self.types.iter().map(|n| type_name(*n));
        let groups = self.groups.iter().map(|n| format!("group{n}.*"));
        let except_types = self.except_types.iter().map(|n| format!("!{}", type_name(*n)));
        let events: Vec<String> =
            types.chain(groups).chain(except_types).chain(all(self.is_for_all_types())).collect();
        let projects = self.projects.iter().map(|n| project_name(*n));
        let companies = self.companies.iter().map(|n| format!("{}/*", company_name(*n)));
        let except_projects = self.except_projects.iter().map(|n| format!("!{}", project_name(*n)));
        let projects: Vec<String> =
            projects.chain(companies).chain(except_projects).chain(all(self.is_for_all_projects())).collect();
        SubscriptionSpec {
            events: EventSelector::parse(&events).unwrap(),
            projects: ProjectSelector::parse(&projects).unwrap(),
            ..SubscriptionSpec::example()
        }
    }
}
