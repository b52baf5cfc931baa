//! The file that is written.
use super::*;

#[test]
fn nothing_of_a_file_ends_a_comment_or_a_text() {
    let text = "[network]\nallowed_domains = [\"a*\\n[network.domains]\\n\\\"x.test\\\" = \\\"allow\\\"\"]\n\
        'un\\u000aknown' = 1\nallow_unix_sockets = [\"/a\\n\\\"b\"]\n";
    check(&imported("a\nb.toml", text), None, &[("x.test:443", false)]);
    let text = "{\"network\": {\"k\\n[network.domains]\\n\\\"x.test\\\" = \\\"allow\\\"\": 1}}";
    check(&imported("f", text), None, &[("x.test:443", false)]);
}

#[test]
fn lines_that_are_comments_are_told() {
    let imported = imported("f", "[network]\ndangerously_allow_all_unix_sockets = true\n");
    tells(
        &imported,
        &["f:2: dangerously_allow_all_unix_sockets is not built yet; the line is there"],
    );
    let told = imported.told.iter().filter(|told| told.difference != Difference::LeftOut);
    assert_eq!(told.count(), 0, "{:#?}", imported.told);
}

#[test]
fn every_value_that_the_language_refuses_is_left_out() {
    for text in [
        "[network]\nproxy = 'no url'\n",
        "[network]\nno_proxy = ['a b']\n",
        "{\"network\": {\"parentProxy\": {\"http\": \"ftp://x\"}}}",
    ] {
        policy(&imported("f", text), None);
    }
}
