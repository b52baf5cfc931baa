//! Lists, scripts, harden-runner, smokescreen and Cilium: what public files of them have, in small.
use super::*;

const ROWS: &[Row] = &[
    (
        "hosts",
        "# mirrors\na.example\n.b.example # and below\n*.c.example\n\n203.0.113.0/24\nhttps://d.example/\nbad_*.example\n",
        None,
        &[
            ("a.example:22", true),
            ("x.a.example:443", false),
            ("b.example:443", true),
            ("x.y.b.example:443", true),
            ("c.example:443", false),
            ("x.c.example:443", true),
            ("203.0.113.9:443", true),
            ("d.example:443", true),
            ("d.example:80", false),
        ],
        &["hosts:8: \"bad_*.example\""],
    ),
    (
        "endpoints",
        "a.example:443\nb.example\n*.c.example:443\n*.c.example:80\n10.0.0.1:443\nx.internal:443\nd.example:http\n",
        None,
        &[
            ("a.example:443", true),
            ("a.example:80", false),
            ("b.example:443", true),
            ("b.example:22", false),
            ("x.y.c.example:443", true),
            ("x.c.example:80", false),
            ("10.0.0.1:443", false),
            ("x.internal:443", false),
        ],
        &[
            "endpoints:4: \"*.c.example:80\": of a wildcard only the first port counts there",
            "endpoints:5: \"10.0.0.1\": an address is looked up as a name there",
            "endpoints:6: \"x.internal\": names below \"internal\" are refused there",
            "endpoints:7: \"d.example:http\": what stands behind the colon is no port",
        ],
    ),
    (
        "ci.yml",
        "name: ci\non: push\njobs:\n  build:\n    steps:\n      - uses: step-security/harden-runner@v2 # v2\n        with:\n          \
         disable-sudo: true\n          egress-policy: audit\n          allowed-endpoints: >\n            a.example:443\n            \
         b.example\n            ${{ vars.HOST }}:443\n      - run: make\n",
        None,
        &[("a.example:443", true), ("b.example:443", true), ("b.example:80", false)],
        &[
            "ci.yml:9: egress-policy: audit: everything passes there",
            "ci.yml:13: \"${{ vars.HOST }}:443\": what it stands for is set elsewhere",
            "ci.yml:8: not about network: disable-sudo",
            "ci.yml:8: what harden-runner opens by itself",
        ],
    ),
    (
        "jobs.yaml",
        "jobs:\n  build:\n    steps:\n    - uses: step-security/harden-runner@v2\n      with:\n        allowed-endpoints: |\n          a.example\n          \
         c.example:443\n  test:\n    steps:\n    - uses: Step-Security/Harden-Runner@v2\n      with: {allowed-endpoints: \"b.example:80\"}\n  \
         other: {uses: ./.github/workflows/x.yml}\n  free: {steps: []}\n",
        Some("build"),
        &[("a.example:443", true), ("c.example:443", true), ("b.example:80", false)],
        &[
            "jobs.yaml:6: allowed-endpoints: behind | the lines are one word there",
            "jobs.yaml:13: the job \"other\": its steps stand in another file",
            "jobs.yaml:14: the job \"free\" has no step of harden-runner",
        ],
    ),
    (
        "acl.yaml",
        "---\nversion: v1\nservices:\n  - name: web\n    project: team\n    action: enforce\n    allowed_domains:\n      - a.example\n      - \"*.b.example\"\n      - \
         bad.example\n      - 10.1.2.3\n    mitm_domains: []\n  - name: batch\n    action: open\ndefault:\n  project: other\n  action: report\n  allowed_domains: \
         [d.example]\nglobal_allow_list: [ok.example]\nglobal_deny_list:\n  - bad.example\n",
        Some("web"),
        &[
            ("a.example:443", true),
            ("x.y.b.example:443", true),
            ("b.example:443", false),
            ("bad.example:443", false),
            ("10.1.2.3:443", false),
            ("ok.example:443", true),
            ("d.example:443", false),
        ],
        &[
            "acl.yaml:10: \"bad.example\": a service's own list is asked before global_deny_list there",
            "acl.yaml:11: \"10.1.2.3\": not public",
            "acl.yaml:5: project:",
            "acl.yaml:12: mitm_domains:",
            "acl.yaml:17: action: report: what is not listed passes there",
        ],
    ),
    (
        "acl.yaml",
        "version: v1\nservices:\n- {name: batch, action: open}\nglobal_deny_list: ['*.bad.example']\n",
        Some("batch"),
        &[("any.example:443", true), ("x.bad.example:443", false), ("10.0.0.1:443", false)],
        &[],
    ),
    (
        "policy.yaml",
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: app\nspec:\n  endpointSelector: {matchLabels: {app: x}}\n  egress:\n  - \
         toEndpoints:\n    - matchLabels: {k8s-app: kube-dns}\n    toPorts:\n    - ports: [{port: \"53\", protocol: ANY}]\n      rules: {dns: [{matchPattern: \
         \"*\"}]}\n  - toFQDNs:\n    - matchName: a.example\n    - matchPattern: \"*.b.example\"\n    - matchPattern: \"**.c.example\"\n    toPorts:\n    - \
         ports:\n      - {port: \"443\", protocol: TCP}\n      - {port: 8000, endPort: 8003}\n      - {port: https}\n  - toCIDRSet:\n    - cidr: 10.0.0.0/8\n      except: [10.9.0.0/16]\n",
        None,
        &[
            ("a.example:443", true),
            ("a.example:8003", true),
            ("a.example:80", false),
            ("x.b.example:443", false),
            ("x.y.c.example:443", true),
            ("c.example:443", false),
            ("10.1.2.3:5432", true),
            ("10.9.1.1:5432", false),
        ],
        &[
            "policy.yaml:8: toEndpoints: what a cluster calls its own has no name here",
            "\"*.b.example\": a star stays within one label there; write \"*.b.example\" = \"allow\"",
            "the port \"https\": write its number",
        ],
    ),
    (
        "two.yaml",
        "kind: CiliumNetworkPolicy\nmetadata: {name: one}\nspec:\n  egress:\n  - toFQDNs: [{matchName: a.example}]\n---\nkind: Deployment\n---\n\
         kind: CiliumClusterwideNetworkPolicy\nmetadata: {name: two}\nspec:\n  egress:\n  - toEntities: [world]\n    toPorts: [{ports: [{port: \"443\"}]}]\n  \
         egressDeny:\n  - toCIDR: [203.0.113.0/24]\n    toPorts: [{ports: [{port: \"443\"}]}]\n",
        Some("two"),
        &[("a.example:443", true), ("a.example:80", false), ("203.0.113.1:443", false)],
        &["two.yaml:7: \"Deployment\" is no policy of Cilium", "two.yaml:17: the ports of a deny"],
    ),
    (
        "rules.json",
        "[{\"labels\": [], \"endpointSelector\": {}, \"egress\": [{\"toFQDNs\": [{\"matchName\": \"a.example\"}]}]}]",
        None,
        &[("a.example:22", true), ("b.example:443", false)],
        &[],
    ),
    (
        "init-firewall.sh",
        "#!/bin/bash\nset -euo pipefail\niptables -A OUTPUT -p udp --dport 53 -j ACCEPT\niptables -A OUTPUT -p tcp --dport 22 -j ACCEPT\niptables -A OUTPUT -o lo -j \
         ACCEPT\niptables -A OUTPUT -d 169.254.169.254 -j DROP\nwhile read -r cidr; do\n  ipset add allowed \"$cidr\"\ndone < <(echo \"$ranges\" | jq -r '.web[]')\nfor domain in \\\n    \
         \"a.example\" \\\n    b.example \\\n    \"$EXTRA\"; do\n  ips=$(dig +short A \"$domain\")\n  while read -r ip; do ipset add allowed \"$ip\"; done < <(echo \"$ips\")\ndone\n\
         iptables -A OUTPUT -j REJECT\nfor url in https://evil.example; do\n  if curl $url; then exit 1; fi\ndone\nTESTED=(c.example)\n",
        None,
        &[
            ("a.example:443", true),
            ("b.example:22", true),
            ("evil.example:443", false),
            ("c.example:443", false),
            ("169.254.169.254:80", false),
        ],
        &[
            "init-firewall.sh:3: lookups go to egress",
            "init-firewall.sh:4: port 22 of every host is not opened here",
            "init-firewall.sh:5: loopback is not opened here",
            "init-firewall.sh:7: a loop over what a program or a file gives",
            "init-firewall.sh:13: $EXTRA: what it stands for is not known",
            "init-firewall.sh:21: the list TESTED: no loop adds it to what passes",
        ],
    ),
    (
        "firewall.sh",
        "ALLOWED=(\n  a.example  # api\n  \"b.example\"\n)\nBLOCKED_DOMAINS=\"bad.example\nworse.example\"\nALL=(\"${ALLOWED[@]}\" c.example)\nopen() { ipset add allowed \
         \"$(dig +short \"$1\")\"; }\nfor d in \"${ALL[@]}\"; do open \"$d\"; done\nfor d in $BLOCKED_DOMAINS; do open $d; done\n",
        None,
        &[
            ("a.example:443", true),
            ("b.example:443", true),
            ("c.example:443", true),
            ("bad.example:443", false),
            ("worse.example:443", false),
        ],
        &["firewall.sh:10: the list BLOCKED_DOMAINS: denied"],
    ),
];

#[test]
fn every_row_of_the_other_tools_comes_out_no_wider() {
    for (name, text, profile, expected, told) in ROWS {
        println!("{name}");
        let imported = imported(name, text);
        check(&imported, *profile, expected);
        tells(&imported, told);
    }
}

#[test]
fn of_several_profiles_none_is_open_unless_named() {
    for (name, text, profile, _, _) in ROWS.iter().filter(|row| row.2.is_some()) {
        let without = policy(&imported(name, text), None).policy;
        let with = policy(&imported(name, text), *profile).policy;
        assert!(!with.says_as(&without), "{name}");
        let target = "any.example:443".parse::<Target>().unwrap();
        assert!(!judge(&without, &target, &mut Public).is_allow(), "{name}");
    }
}

#[test]
fn a_list_denies_where_that_is_said() {
    let source = Source { name: "list", text: "bad.example\n.worse.example\n" };
    let options = Options { lists: Action::Deny, ..*OPTIONS };
    let imported = import(&[source], &options).unwrap();
    assert!(imported.text.contains("\"bad.example\" = \"deny\""), "{}", imported.text);
    assert!(imported.text.contains("\"**.worse.example\" = \"deny\""), "{}", imported.text);
    let allowed = import(&[source], &OPTIONS).unwrap();
    assert!(allowed.text.contains("# A list does not say whether it allows"), "{}", allowed.text);
}

#[test]
fn what_closes_there_and_cannot_be_read_is_an_error() {
    for (name, text, expected) in [
        ("l", "0.0.0.0 bad.example\n", "l:1: an address before a name: a hosts file"),
        ("w.yml", "jobs: {a: {steps: [{run: x}]}}\n", "w.yml:1: no step of it uses step-security"),
        (
            "w.yml",
            "jobs:\n  a:\n    steps:\n    - uses: step-security/harden-runner@v2\n      with:\n        egress-policy: allow\n",
            "w.yml:6: egress-policy is neither audit nor block",
        ),
        (
            "w.yml",
            "jobs:\n  a:\n    steps:\n    - uses: step-security/harden-runner@v2\n      with: {denied-endpoints: \"${{ x }}\"}\n",
            "w.yml:5: \"${{ x }}\" closes something, and is set elsewhere",
        ),
        ("a.yml", "services: []\n", "a.yml:1: the version is not v1"),
        (
            "a.yml",
            "version: v1\nservices: [{name: a, action: allow}]\n",
            "a.yml:2: the action is none of open, report and enforce",
        ),
        (
            "a.yml",
            "version: v1\nservices: []\nblocked_domains: [a]\n",
            "a.yml:3: blocked_domains is no key that is known, and may close something",
        ),
        (
            "a.yml",
            "version: v1\nservices: []\nglobal_deny_list: a\n",
            "a.yml:3: global_deny_list is no list",
        ),
        (
            "c.yml",
            "kind: CiliumNetworkPolicy\nspec:\n  egressDeny:\n  - toCIDR: [x]\n",
            "c.yml:4: a deny of what is no block of addresses",
        ),
        (
            "c.yml",
            "kind: CiliumNetworkPolicy\nspec:\n  egressDeny:\n  - toFQDNs: [{matchName: a}]\n",
            "c.yml:4: toFQDNs closes something, and is not known",
        ),
        (
            "f.sh",
            "for d in a.example; do ipset add x $d; done\niptables -A OUTPUT -d $NET -j DROP\n",
            "f.sh:2: \"$NET\" closes something, and is not known here",
        ),
        ("f.sh", "echo hello\n", "f.sh:1: no list of names that a loop adds to what passes"),
        ("x.yml", "a: b\n", "x.yml: is YAML of none of the known tools"),
    ] {
        let error = import(&[Source { name, text }], &OPTIONS).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains("; "), "{text}: {error} says nothing to do");
    }
}

#[test]
fn a_deny_of_the_cluster_is_a_loss() {
    let text = "kind: CiliumNetworkPolicy\nspec:\n  egressDeny:\n  - toEndpoints: [{}]\n";
    assert!(imported("c.yml", text).has_losses());
}

#[test]
fn files_of_two_tools_or_of_two_policies_are_not_one() {
    let list = Source { name: "list", text: "a.example\n" };
    let acl = Source { name: "a.yml", text: "version: v1\nservices: []\n" };
    let error = import(&[list, acl], &OPTIONS).unwrap_err().to_string();
    assert!(error.contains("settings of two tools, and two policies"), "{error}");
    let error = import(&[acl, acl], &OPTIONS).unwrap_err().to_string();
    assert!(error.contains("a second file of this kind"), "{error}");
    import(&[list, list], &OPTIONS).unwrap();
}

#[test]
fn a_file_is_bounded() {
    let text = "a.example\n".repeat(MOST_BYTES / 10 + 1);
    let error = refused(&text);
    assert!(error.contains("bytes, which no settings have"), "{error}");
}
