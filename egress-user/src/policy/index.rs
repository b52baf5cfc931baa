//! Rules, arranged so that a decision costs the same with ten rules as with a hundred thousand.
//!
//! Names are asked for once a label, addresses once for each prefix length that some rule has.
use std::{collections, sync::Arc};

use ipnet::IpNet;

use super::{Action, MatchedRules, Name, Pattern, Rule, class};

/// Only the author of a policy chooses keys, and a lookup adds none: a hash that nobody can be kept
/// from guessing does, at half the time of a decision.
type HashMap<K, V> = collections::HashMap<K, V, foldhash::fast::FixedState>;

/// Every rule of a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    deny: Side,
    allow: Side,
}

impl Index {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let mut index = Self::default();
        // Tables that grow hash all of their keys again, each time.
        for (side, action) in [(&mut index.deny, Action::Deny), (&mut index.allow, Action::Allow)] {
            let own = || rules.iter().filter(|rule| rule.action == action);
            let blocks = own().filter(|rule| rule.pattern.is_address()).count();
            side.names.reserve(own().count() - blocks);
            side.blocks.rules.reserve(blocks);
        }
        for rule in rules {
            match rule.action {
                Action::Allow => index.allow.insert(rule),
                Action::Deny => index.deny.insert(rule),
            }
        }
        index.deny.blocks.finish();
        index.allow.blocks.finish();
        index
    }

    /// A deny rule that matches the name.
    pub(super) fn denies_name(&self, name: &Name) -> Option<&MatchedRules> {
        self.deny.name(name)
    }

    /// The most specific allow rule that matches the name.
    pub(super) fn allows_name(&self, name: &Name) -> Option<&MatchedRules> {
        self.allow.name(name).or(self.allow.any.as_ref())
    }

    /// The allow rule of exactly this name, wildcards left out.
    pub(super) fn allows_exactly(&self, name: &Name) -> Option<&MatchedRules> {
        self.allow.names.get(name.as_str())?.exact.as_ref()
    }

    /// A deny rule that matches every address of the block, or of the IPv4 block that it carries.
    pub(super) fn denies_block(&self, block: IpNet) -> Option<&MatchedRules> {
        let blocks = &self.deny.blocks;
        blocks.covering(block).or_else(|| blocks.covering(class::carried(block)?.into()))
    }

    /// The allow rule with the longest block that holds all of this one; `*` is not one.
    pub(super) fn allows_block(&self, block: IpNet) -> Option<&MatchedRules> {
        self.allow.blocks.covering(block)
    }

    /// The rule that allows `*`.
    pub(super) fn allows_any(&self) -> Option<&MatchedRules> {
        self.allow.any.as_ref()
    }

    /// A deny rule that leaves the pattern nothing to allow.
    pub(super) fn denies_all_of(&self, pattern: &Pattern) -> Option<&MatchedRules> {
        match pattern {
            Pattern::Exact(name) => self.deny.name(name),
            Pattern::Below(name) => self.deny.subtree(name, true),
            Pattern::AtOrBelow(name) => self.deny.subtree(name, false),
            Pattern::Any => None,
            Pattern::Address(address) => self.denies_block(IpNet::from(*address)),
            Pattern::Block(block) => self.denies_block(*block),
        }
    }

    /// The most specific allow that covers all of the pattern, as [`Pattern::covers`] has it.
    pub(super) fn allows_all_of(&self, pattern: &Pattern) -> Option<&MatchedRules> {
        let covering = match pattern {
            // Wildcards never open it.
            Pattern::Exact(name) if name.is_localhost() => return self.allows_exactly(name),
            Pattern::Exact(name) => self.allow.name(name),
            Pattern::Below(name) => self.allow.subtree(name, true),
            Pattern::AtOrBelow(name) => self.allow.subtree(name, false),
            Pattern::Any => None,
            Pattern::Address(address) => self.allows_block(IpNet::from(*address)),
            Pattern::Block(block) => self.allows_block(*block),
        };
        covering.or_else(|| self.allow.any.as_ref().filter(|_| Pattern::Any.covers(pattern)))
    }

    /// Every pattern with its rules, in no order.
    pub(super) fn grants(&self) -> impl Iterator<Item = &MatchedRules> {
        [&self.allow, &self.deny].into_iter().flat_map(Side::grants)
    }

    /// The block of every deny rule.
    pub(super) fn denied_blocks(&self) -> impl Iterator<Item = IpNet> {
        self.deny.blocks.iter()
    }

    /// The block of every allow rule.
    pub(super) fn allowed_blocks(&self) -> impl Iterator<Item = IpNet> {
        self.allow.blocks.iter()
    }
}

/// The rules of one action.
#[derive(Clone, Debug, Default)]
struct Side {
    names: HashMap<Box<str>, AtName>,
    any: Option<MatchedRules>,
    blocks: Blocks,
}

/// The rules that are written with one name.
#[derive(Clone, Debug, Default)]
struct AtName {
    exact: Option<MatchedRules>,
    below: Option<MatchedRules>,
    at_or_below: Option<MatchedRules>,
}

impl Side {
    fn insert(&mut self, rule: Rule) {
        let slot = match &rule.pattern {
            Pattern::Exact(name) => &mut self.at(name).exact,
            Pattern::Below(name) => &mut self.at(name).below,
            Pattern::AtOrBelow(name) => &mut self.at(name).at_or_below,
            Pattern::Any => &mut self.any,
            Pattern::Address(address) => self.blocks.at(IpNet::from(address.to_canonical())),
            Pattern::Block(block) => {
                self.blocks.at(Pattern::block(*block).as_block().unwrap_or(*block))
            }
        };
        add(slot, rule);
    }

    fn at(&mut self, name: &Name) -> &mut AtName {
        self.names.entry(name.as_str().into()).or_default()
    }

    fn grants(&self) -> impl Iterator<Item = &MatchedRules> {
        let names = self.names.values();
        let names = names.flat_map(|at| [&at.exact, &at.below, &at.at_or_below]);
        names.chain([&self.any]).chain(self.blocks.rules.values()).flatten()
    }

    /// The most specific match: exact before suffix, long before short, `*.` before `**.`.
    fn name(&self, name: &Name) -> Option<&MatchedRules> {
        name.suffixes().enumerate().find_map(|(depth, suffix)| {
            let slot = self.names.get(suffix)?;
            match depth {
                0 => slot.exact.as_ref(),
                _ => slot.below.as_ref(),
            }
            .or(slot.at_or_below.as_ref())
        })
    }

    /// The most specific rule that matches every name below this one, and this one as well unless
    /// `below` is set.
    fn subtree(&self, name: &Name, below: bool) -> Option<&MatchedRules> {
        name.suffixes().enumerate().find_map(|(depth, suffix)| {
            let slot = self.names.get(suffix)?;
            slot.below.as_ref().filter(|_| below || depth > 0).or(slot.at_or_below.as_ref())
        })
    }
}

/// A second allow of one pattern adds what it opens; of several denies each is enough.
fn add(slot: &mut Option<MatchedRules>, rule: Rule) {
    *slot = Some(match slot.take() {
        Some(first) => first.and(Arc::new(rule)),
        None => Arc::new(rule).into(),
    });
}

/// Blocks, with the prefix lengths that occur in each family, the longest first.
#[derive(Clone, Debug, Default)]
struct Blocks {
    rules: HashMap<IpNet, Option<MatchedRules>>,
    v4_lengths: Vec<u8>,
    v6_lengths: Vec<u8>,
}

impl Blocks {
    fn at(&mut self, block: IpNet) -> &mut Option<MatchedRules> {
        match block {
            IpNet::V4(block) => self.v4_lengths.push(block.prefix_len()),
            IpNet::V6(block) => self.v6_lengths.push(block.prefix_len()),
        }
        self.rules.entry(block).or_default()
    }

    fn finish(&mut self) {
        for lengths in [&mut self.v4_lengths, &mut self.v6_lengths] {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
        }
    }

    /// The rule with the longest block that holds all of this one.
    fn covering(&self, block: IpNet) -> Option<&MatchedRules> {
        let lengths = match block {
            IpNet::V4(_) => &self.v4_lengths,
            IpNet::V6(_) => &self.v6_lengths,
        };
        lengths.iter().filter(|&&length| length <= block.prefix_len()).find_map(|&length| {
            // The length is at most the family's, as a rule has it.
            self.rules.get(&IpNet::new(block.addr(), length).ok()?.trunc())?.as_ref()
        })
    }

    fn iter(&self) -> impl Iterator<Item = IpNet> {
        self.rules.keys().copied()
    }
}
