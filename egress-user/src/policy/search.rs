//! Search domains, by which a resolver completes short names (resolv.conf(5), `search` and `ndots`).
//!
//! A program that is told `sub` looks up `sub.web.example`, and goes on to say `sub` in TLS and HTTP. Only the
//! first of the two passes the DNS proxy.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Name, Pattern, Policy, Rule};

/// Domains that are remembered, as many as common resolvers read.
const MOST_DOMAINS: usize = 32;

/// Short forms of one name that count.
const MOST_FORMS: usize = 4;

/// How the machine's resolvers complete names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchDomains {
    domains: Vec<Name>,
    /// A name with fewer dots than this is completed before it is taken as it is.
    ndots: usize,
}

/// None, and names without a dot.
impl Default for SearchDomains {
    fn default() -> Self {
        Self { domains: Vec::new(), ndots: 1 }
    }
}

impl SearchDomains {
    /// These domains, the first 32 of them; names with fewer dots than `ndots` are completed.
    pub fn new(mut domains: Vec<Name>, ndots: usize) -> Self {
        domains.truncate(MOST_DOMAINS);
        Self { domains, ndots }
    }

    /// What resolvers ask for in the place of the name, before they ask for itself.
    pub fn completed(&self, name: &Name) -> Vec<Name> {
        let is_short = name.as_str().bytes().filter(|byte| *byte == b'.').count() < self.ndots;
        let domains = self.domains.iter().filter(|_| is_short);
        domains.filter_map(|domain| Name::parse(&format!("{name}.{domain}")).ok()).collect()
    }

    /// What a program may call the name that was looked up: it without one of the domains.
    pub fn short_forms(&self, looked_up: &Name) -> Vec<Name> {
        let forms = self.domains.iter().filter_map(|domain| {
            let short = looked_up.as_str().strip_suffix(domain.as_str())?.strip_suffix('.')?;
            let is_short = short.bytes().filter(|byte| *byte == b'.').count() < self.ndots;
            is_short.then(|| Name::parse(short).ok()).flatten()
        });
        forms.take(MOST_FORMS).collect()
    }
}

/// As [`Policy`] knows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<RwLock<Arc<SearchDomains>>>);

impl Policy {
    /// Takes these for the search domains of the machine; without any until then.
    pub fn set_search_domains(&self, search: SearchDomains) {
        *self.known_search().0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(search);
    }

    /// The search domains of the machine, as far as they were given.
    pub fn search_domains(&self) -> Arc<SearchDomains> {
        self.known_search().0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What connections may call the name, beside itself, that was looked up for them.
    ///
    /// Under a wildcard whoever runs the program chooses the name, and so what is left of it without its
    /// domain: that must not be the name of a site, which a shared server may have.
    pub fn short_forms(&self, looked_up: &Name) -> Vec<Name> {
        let search = self.search_domains();
        if search.domains.is_empty() {
            return Vec::new();
        }
        let grant = self.name(looked_up);
        let by_name = |rule: &Rule| rule.pattern == Pattern::Exact(looked_up.clone());
        let is_exact = grant.is_ok_and(|grant| by_name(grant.rule()));
        let mut forms = search.short_forms(looked_up);
        forms.retain(|short| is_exact || !may_be_a_site(short));
        forms.retain(|short| self.denied_name(short).is_none());
        forms
    }
}

/// Whether the name ends with a label that is given out as a top level domain.
fn may_be_a_site(short: &Name) -> bool {
    let suffix = psl::suffix(short.as_str().as_bytes());
    short.as_str().contains('.') && suffix.is_some_and(|suffix| suffix.is_known())
}

#[cfg(test)]
mod tests;
