//! Whether commands have a network there.
//!
//! Of a profile of permissions, its `enabled`, or the nearest one of what it extends. Without
//! profiles, `sandbox_mode` and `sandbox_workspace_write.network_access`; the proxy and its rules
//! only narrow what these open.
use super::{Codex, Line, Page, Said, have_network, of_file, profiles::name_of, quoted};
use crate::config::ConfigError;

impl Codex {
    /// Closes what has no network there.
    ///
    /// # Errors
    /// Requirements together with settings; profiles that do not exist.
    pub(crate) fn decide(&self, page: &mut Page<'_>) -> Result<(), ConfigError> {
        if self.settings.is_none() && self.requirements.is_none() {
            return Ok(());
        }
        if let (Some(settings), Some(requirements)) = (&self.settings, &self.requirements) {
            let message = format!("{requirements} and {settings} are two policies");
            return Err(of_file(requirements, message, "import the requirements by themselves"));
        }
        self.inherit(page)?;
        let mut closed = false;
        match self.requirements.is_some() {
            true => self.bounds(page),
            false => closed = self.root(page),
        }
        for name in self.profiles.keys() {
            self.profile_network(page, name);
        }
        self.narrow_by_feature(page);
        self.tell_overrides(page);
        self.default(page, closed)
    }

    /// What profiles extend.
    fn inherit(&self, page: &mut Page<'_>) -> Result<(), ConfigError> {
        for (name, profile) in &self.profiles {
            let Some(Said { value: parent, place }) = &profile.extends else { continue };
            if parent.starts_with(':') {
                // Measured: none of them has rules, nor a network unless the profile says so.
                let why = format!("extends = {parent:?}: it has no rules of network there either");
                page.leave_out(place, why);
            } else if self.profiles.contains_key(&name_of(parent)) {
                let line = Line { value: quoted(&name_of(parent)), place: place.clone() };
                page.section(name).extends = Some(line);
            } else {
                let message = format!("there is no profile {parent:?}");
                return Err(of_file(place, message, "name one of the file, or take the line out"));
            }
        }
        let circle = |name: &String| {
            let chain = page.chain(name);
            let last = chain.last().and_then(|last| page.sections.get(last));
            last.is_some_and(|section| section.extends.is_some())
        };
        match self.profiles.iter().find(|(name, _)| circle(name)) {
            Some((name, profile)) => Err(of_file(
                &profile.place,
                format!("the profile {name:?} extends itself, over others or not"),
                "let one of them extend nothing",
            )),
            None => Ok(()),
        }
    }

    /// Requirements.
    fn bounds(&self, page: &mut Page<'_>) {
        let off = [&self.bounds, &self.old].into_iter().flatten();
        if let Some(Said { place, .. }) = off.clone().find(|said| said.value == Some(false)) {
            page.change(place, "enabled = false: no network at all");
            page.close("", place);
        }
        if let Some(Said { value, place }) = &self.allowed_modes
            && !have_network(value)
        {
            page.change(place, "allowed_sandbox_modes: none of them has a network");
            page.close("", place);
        }
        if let Some(Said { value, place }) = &self.allowed_profiles {
            page.leave_out(
                place,
                "allowed_permission_profiles: a user of egress may take any profile; those of this \
                 file that are not allowed have no network",
            );
            for name in self.profiles.keys() {
                let may = |(known, may): (&String, &bool)| *may && name_of(known) == *name;
                if !value.iter().any(may) {
                    page.close(name, place);
                }
            }
        }
    }

    /// `[network]`; whether it is closed.
    fn root(&self, page: &mut Page<'_>) -> bool {
        let rules = self.feature.as_ref().map(|said| &said.place);
        let rules = rules.or(self.old.as_ref().map(|said| &said.place));
        let closes = match (&self.sandbox_mode, &self.network_access) {
            (Some(mode), _) if mode.value == "read-only" => {
                Some((&mode.place, "sandbox_mode = \"read-only\": no network there"))
            }
            (Some(mode), _) if mode.value == "danger-full-access" => {
                self.note_filter(page);
                None
            }
            (_, Some(access)) if access.value => None,
            (_, Some(access)) => Some((&access.place, "network_access = false: no network there")),
            (Some(mode), None) => Some((
                &mode.place,
                "without sandbox_workspace_write.network_access = true there is no network there",
            )),
            (None, None) => match (&self.feature, &self.old, rules) {
                // A proxy by itself: its rules are all that there is.
                (None, Some(old), _) if old.value != Some(false) => {
                    page.note(
                        "These are the proxy's own settings. Codex gives its commands a network only \
                         with sandbox_workspace_write.network_access = true, or by a profile.",
                    );
                    None
                }
                (_, _, Some(place)) => Some((
                    place,
                    "without sandbox_workspace_write.network_access = true there is no network \
                     there, whatever the proxy's rules",
                )),
                (_, _, None) => None,
            },
        };
        if let Some((place, why)) = closes {
            page.change(place, why);
            page.close("", place);
        } else if let Some(Said { place, .. }) =
            self.old.as_ref().filter(|old| old.value == Some(false))
        {
            page.change(place, "enabled = false: written as no network at all");
            page.close("", place);
        } else {
            let is_on = |said: &Option<Said<Option<bool>>>| {
                said.as_ref().is_some_and(|said| said.value != Some(false))
            };
            if !is_on(&self.feature) && !is_on(&self.old) {
                self.note_filter(page);
            }
        }
        if let Some(old) = &self.old
            && !self.has_mode
        {
            page.set("", "", "mode", quoted("full"), &old.place);
        }
        page.is_closed("")
    }

    fn note_filter(&self, page: &mut Page<'_>) {
        page.note(
            "Somewhere the settings pass everything. Here hosts are still filtered: what no rule \
             allows is refused. \"*\" = \"allow\" in [network.domains] opens every public host.",
        );
    }

    /// `enabled` of a profile, or the nearest one above.
    fn profile_network(&self, page: &mut Page<'_>, name: &str) {
        let chain = page.chain(name);
        let mut said = chain.iter().filter_map(|name| self.profiles.get(name)?.enabled.as_ref());
        let place =
            &self.profiles.get(name).map(|profile| profile.place.clone()).unwrap_or_default();
        match said.next() {
            Some(said) if said.value => {
                // A profile of requirements stays within their [network].
                if self.requirements.is_some() && page.is_closed("") {
                    page.close(name, &said.place);
                }
                // Above it may be closed, and below not.
                if !page.is_closed(name) {
                    page.set(name, "", "network_access", "true".to_owned(), &said.place);
                }
                if self.feature.as_ref().is_none_or(|feature| feature.value == Some(false))
                    && self.requirements.is_none()
                {
                    page.note(
                        "Codex holds a profile to its rules only with features.network_proxy = true; \
                         here they always hold.",
                    );
                }
            }
            Some(said) => {
                page.change(&said.place, "enabled = false: no network in this profile");
                page.close(name, &said.place);
            }
            None => {
                page.change(place, "without enabled = true the profile has no network there");
                page.close(name, place);
            }
        }
    }

    /// Settings of the feature hold under every profile there.
    fn narrow_by_feature(&self, page: &mut Page<'_>) {
        let root = page.section("").tables.get("").cloned().unwrap_or_default();
        let limited = root.get("mode").filter(|line| line.value == quoted("limited")).cloned();
        let allows =
            page.section("").rules.values().any(|rule| rule.action == crate::policy::Action::Allow);
        for name in self.profiles.keys() {
            if let Some(Line { value, place }) = &limited {
                page.set(name, "", "mode", value.clone(), place);
            }
            // A later word of the profile's own would come to the same or to more.
            for key in ["allow_upstream_proxy", "enable_socks5", "enable_socks5_udp"] {
                if let Some(line) = root.get(key).filter(|line| line.value == "false") {
                    page.set(name, "", key, line.value.clone(), &line.place);
                }
            }
        }
        if allows
            && !self.profiles.is_empty()
            && self.requirements.is_none()
            && let Some(feature) = &self.feature
        {
            let why = "the allows of features.network_proxy hold under every profile there, and here \
                       under none; write those that are meant in the profiles";
            page.change(&feature.place, why);
        }
    }

    /// There a child's line replaces the same line of its parent; here a deny stays.
    fn tell_overrides(&self, page: &mut Page<'_>) {
        let mut found = Vec::new();
        for name in self.profiles.keys() {
            let Some(own) = page.sections.get(name) else { continue };
            let above = page.chain(name).into_iter().skip(1).chain([String::new()]);
            for section in above.filter_map(|name| page.sections.get(&name)) {
                for (key, rule) in &own.rules {
                    if let Some(deny) = section.rules.get(key)
                        && deny.action == crate::policy::Action::Deny
                        && rule.action == crate::policy::Action::Allow
                    {
                        let why = format!("\"{}\" stays denied, by {}", key.1, deny.place());
                        found.push((rule.place(), why));
                    }
                }
            }
        }
        for (place, why) in found {
            page.change(&place, why);
        }
    }

    /// `default_permissions`.
    fn default(&self, page: &mut Page<'_>, is_closed: bool) -> Result<(), ConfigError> {
        let Some(Said { value, place }) = &self.default_permissions else {
            return Ok(());
        };
        if let Some(mode) = &self.sandbox_mode {
            // The vendor's documentation has sandbox_mode decide; `codex sandbox` takes the profile.
            let why = format!(
                "default_permissions beside sandbox_mode ({}): which one holds depends on how Codex is \
                 started, so that nothing is open without --profile",
                mode.place
            );
            page.change(place, why);
            page.close("", place);
            return Ok(());
        }
        if value.starts_with(':') {
            page.leave_out(
                place,
                format!("default_permissions = {value:?}: no profile of the file"),
            );
            match value.as_str() {
                ":danger-full-access" => self.note_filter(page),
                _ if !is_closed => page.close("", place),
                _ => {}
            }
            return Ok(());
        }
        if !self.profiles.contains_key(&name_of(value)) {
            let message = format!("there is no profile {value:?}");
            return Err(of_file(place, message, "name one of the file's permissions"));
        }
        let line = Line { value: quoted(&name_of(value)), place: place.clone() };
        page.default_profile = Some(line);
        Ok(())
    }
}
