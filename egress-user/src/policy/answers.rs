//! Rows 6 to 8: what a lookup gave, and which lines of the rule accept it.

use std::{net::IpAddr, sync::Arc};

use egress_common::Reason;

use super::{
    Answer, LOCALHOST_ADDRESSES, MatchedRules, Name, Policy, Refusal, Remedy, Rule, class,
    own::Locality,
};

impl Answer {
    /// What the lookup of both families gives. Where one has addresses and the other fails, these are what
    /// there is: nothing of the other is known, and nothing of it is opened. "No such name" for one family
    /// alone is taken as no addresses: load balancers that know no AAAA say that (RFC 4074 section 4.2).
    #[must_use]
    pub fn of_families(v4: Self, v6: Self) -> Self {
        match (v4, v6) {
            (
                Answer::Found { mut chain, mut addresses },
                Answer::Found { chain: other, addresses: more },
            ) => {
                chain.extend(
                    other.into_iter().filter(|name| !chain.contains(name)).collect::<Vec<_>>(),
                );
                addresses.extend(more);
                Answer::Found { chain, addresses }
            }
            (found @ Answer::Found { .. }, other) | (other, found @ Answer::Found { .. }) => {
                let is_empty =
                    matches!(&found, Answer::Found { addresses, .. } if addresses.is_empty());
                match other {
                    Answer::ServFail | Answer::Timeout if is_empty => other,
                    _ => found,
                }
            }
            (Answer::Timeout, _) | (_, Answer::Timeout) => Answer::Timeout,
            (Answer::ServFail, _) | (_, Answer::ServFail) => Answer::ServFail,
            (Answer::NxDomain, Answer::NxDomain) => Answer::NxDomain,
        }
    }
}

impl Policy {
    /// Rows 6 to 8: judges the whole union of a lookup. Gives the lines of the grant that accept it, which are
    /// all of them where every address is public, and the addresses.
    pub fn judge_lookup<'a>(
        &self,
        name: &Name,
        grant: &MatchedRules,
        answer: &'a Answer,
    ) -> Result<(MatchedRules, &'a [IpAddr]), Refusal> {
        let (chain, addresses) = match answer {
            Answer::Found { chain, addresses } if !addresses.is_empty() => (chain, addresses),
            Answer::Found { .. } | Answer::NxDomain | Answer::ServFail | Answer::Timeout => {
                return Err(Refusal::new(Reason::DnsFailed));
            }
        };
        let denied = chain.iter().find_map(|alias| self.denied_name(alias));
        if let Some(refusal) =
            denied.or_else(|| addresses.iter().find_map(|&address| self.denied_address(address)))
        {
            return Err(refusal);
        }
        if self.settings().allow_local_binding {
            return Ok((grant.clone(), addresses));
        }
        // One address that no line accepts condemns the rest: the answer was made to lead inside.
        let local = self.local_of(name, addresses);
        if local.is_empty() {
            return Ok((grant.clone(), addresses));
        }
        let accepts = |rule: &Rule| local.iter().all(|local| local.is_accepted_by(rule));
        match grant.only(accepts) {
            Some(accepting) => Ok((accepting, addresses)),
            None => Err(self.local_answer(name, grant, addresses)),
        }
    }

    /// Row 8's refusal of these addresses of a name, by a grant no line of which accepts them and opens what
    /// is asked for.
    pub(super) fn local_answer(
        &self,
        name: &Name,
        grant: &MatchedRules,
        addresses: &[IpAddr],
    ) -> Refusal {
        let refusal = Refusal::new(Reason::NotAllowedLocal);
        let local = self.local_of(name, addresses);
        if let Some(sink) = local.iter().find(|local| local.address.is_unspecified()) {
            let (name, address) = (name.clone(), sink.address);
            return refusal.with_remedy(Remedy::Unblock { name, address });
        }
        // One that says so already, and lacks the rest, comes first.
        let rule = grant.rules().iter().find(|rule| !rule.options.resolves_to.is_empty());
        let rule = rule.unwrap_or(grant.rule());
        let lacks = |local: &&Local| !local.is_accepted_by(rule);
        let Some(first) = local.iter().find(lacks).or(local.first()) else { return refusal };
        refusal.with_remedy(Remedy::ResolvesTo {
            name: name.clone(),
            addresses: local.iter().filter(lacks).map(|local| local.address).collect(),
            own: match &first.locality {
                Locality::Own(interface) => Some(Arc::clone(interface)),
                Locality::NotPublic => None,
            },
            rule: Arc::clone(rule),
        })
    }

    /// Those that are not public, but for what `localhost` stands for.
    fn local_of(&self, name: &Name, addresses: &[IpAddr]) -> Vec<Local> {
        let vouched =
            |address: &IpAddr| name.is_localhost() && LOCALHOST_ADDRESSES.contains(address);
        let others = addresses.iter().filter(|address| !vouched(address));
        let local = others.filter_map(|address| {
            let (address, locality) = (address.to_canonical(), self.locality(*address)?);
            Some(Local { address, locality })
        });
        local.collect()
    }

    /// Whether the address has become the machine's own since these lines accepted it as an answer.
    pub fn is_own_to(&self, grant: &MatchedRules, address: IpAddr) -> bool {
        let is_own = matches!(self.locality(address), Some(Locality::Own(_)));
        is_own
            && !self.settings().allow_local_binding
            && !grant.rules().iter().any(|rule| rule.resolves_to(address, true))
    }
}

/// An address that is not public, in its canonical form.
struct Local {
    address: IpAddr,
    locality: Locality,
}

impl Local {
    /// The machine itself and its neighbours, where services trust whoever reaches them, have to be written
    /// address by address.
    fn is_accepted_by(&self, rule: &Rule) -> bool {
        let alone = self.locality != Locality::NotPublic || class::is_near(self.address);
        rule.resolves_to(self.address, alone)
    }
}

#[cfg(test)]
mod tests;
