//! Records of other types than addresses: what of them a program gets. Pure.
//!
//! They open nothing. Names and addresses in them are data, but for HTTPS and SVCB (RFC 9460), which
//! lead a client elsewhere: what they lead to is taken out or judged.

use hickory_proto::rr::{
    RData, Record, RecordType,
    rdata::{
        HTTPS,
        svcb::{SVCB, SvcParamKey, SvcParamValue},
    },
};

use super::query::policy_name;
use crate::policy::Policy;

/// Priority of a record that is an alias (RFC 9460 section 2.4.1).
const ALIAS: u16 = 0;

/// The data of those records that may be answered to a question of this type.
pub(super) fn passed(
    policy: &Policy,
    allow_ech: bool,
    asked: RecordType,
    records: Vec<Record>,
) -> Vec<RData> {
    let data = records.into_iter().map(|record| record.data);
    data.filter(|data| data.record_type() == asked)
        .filter_map(|data| match data {
            RData::HTTPS(HTTPS(data)) => Some(RData::HTTPS(HTTPS(led(policy, allow_ech, data)?))),
            RData::SVCB(data) => Some(RData::SVCB(led(policy, allow_ech, data)?)),
            data => Some(data),
        })
        .collect()
}

/// A service binding without what would lead around the policy; none where it is of no use then. A
/// client without it connects as if there were none.
fn led(policy: &Policy, allow_ech: bool, mut binding: SVCB) -> Option<SVCB> {
    // The root stands for the owner, which is allowed, or for "no such service".
    if !binding.target_name.is_root() {
        let target = policy_name(&binding.target_name).ok()?;
        policy.name(&target).ok()?;
    }
    if binding.svc_priority == ALIAS {
        // Clients must ignore them (RFC 9460 section 2.4.2).
        binding.svc_params.clear();
        return Some(binding);
    }
    let removed = |key: SvcParamKey| match key {
        // Addresses that were judged by nobody. They are the lookup's to give.
        SvcParamKey::Ipv4Hint | SvcParamKey::Ipv6Hint => true,
        // With it a client hides the name that it is judged by.
        SvcParamKey::EchConfigList => !allow_ech,
        _ => false,
    };
    // Its owner says that it does not work without, and a key that is mandatory and absent makes
    // a client throw away all of the records (RFC 9460 section 8).
    let needs_removed = binding.svc_params.iter().any(|(_, value)| match value {
        SvcParamValue::Mandatory(keys) => keys.0.iter().any(|&key| removed(key)),
        _ => false,
    });
    binding.svc_params.retain(|(key, _)| !removed(*key));
    (!needs_removed).then_some(binding)
}

#[cfg(test)]
mod tests;
