//! What LXD 5.0.2 prints for each of these was asked of a running one, template by template.

use super::*;

/// Templates and what LXD 5.0.2 makes of them, for the instance of [`render_one`].
const PRINTED: &[(&str, &str)] = &[
    ("{{ container.name }}", "c1"),
    ("{{container.type}} {{container.privileged}}", "container false"),
    ("{{ trigger }} {{ path }}", "start /out"),
    (
        "{{ instance.name }}|{{instance.type}}|{{instance.architecture}}|{{instance.privileged}}|{{instance.ephemeral}}",
        "c1|container|x86_64|false|false",
    ),
    ("{{ config }}", "<map[string]string Value>"),
    ("{{ config.foo }}", ""),
    ("{{ devices }}", "<config.Devices Value>"),
    ("{{ devices.root.path }}", "/"),
    ("{{ devices.d1.source }}", "/tmp"),
    ("{{ properties }}", "<map[string]string Value>"),
    ("{{ properties.pk }}", "pv"),
    ("{{ properties.missing }}|{{ nothing }}|{{ nothing.deep }}", "||"),
    (r#"{{ config_get("user.foo", "d") }}"#, "bar"),
    (r#"{{ config_get("user.nope", "d") }}"#, "d"),
    (r#"{{ config_get("user.empty","d") }}"#, "d"),
    (r#"{{ config_get("user.html","") }}"#, r#"<a&b>'""#),
    (r#"{{ config_get("user.html","")|safe }}"#, r#"<a&b>'""#),
    (r#"{{ config_get("user.foo","") | upper }}"#, "BAR"),
    (r#"{{ "abc"|upper }}"#, "ABC"),
    (r#"{{ "ABC"|lower }}"#, "abc"),
    (r#"{{ "abc"|capfirst }}"#, "Abc"),
    (r#"{{ nothing|default:"x" }}"#, "x"),
    (r#"{{ ""|default:"x" }}"#, "x"),
    (r#"{{ nothing|default_if_none:"y" }}"#, "y"),
    (r#"{{ "a,b"|split:"," }}"#, "<[]string Value>"),
    (r#"{% for x in "a,b"|split:"," %}[{{x}}]{% endfor %}"#, "[a][b]"),
    (r#"{{ "abc"|length }}"#, "3"),
    (r#"{{ "abc"|add:"d" }}"#, "abcd"),
    ("{{ 1|add:2 }}", "3"),
    (r#"{{ "abcdef"|slice:"1:3" }}"#, "bc"),
    (r#"{{ "a b"|cut:" " }}"#, "ab"),
    (r#"{{ "abc"|first }}{{ "abc"|last }}"#, "ac"),
    (r#"{{ "x"|ljust:5 }}|{{ "x"|rjust:5 }}|{{ "x"|center:5 }}"#, "x    |    x|  x  "),
    (r#"{{ "hello world"|title }}"#, "Hello World"),
    (r#"{{ "abcdefgh"|truncatechars:5 }}"#, "ab..."),
    (r#"{{ "<b>"|escape }}"#, "&lt;b&gt;"),
    (r#"{{ "<b>" }}"#, "<b>"),
    (r#"{{ "a b&c"|urlencode }}"#, "a+b%26c"),
    (r#"{{ "<b>"|safe }}"#, "<b>"),
    (r#"{{ "a'b"|addslashes }}"#, r#"a\'b"#),
    (r#"{% if trigger == "start" %}yes{% else %}no{% endif %}"#, "no"),
    (r#"{{ "a"|join:"," }}"#, "a"),
    (r#"{% if trigger == "create" %}yes{% elif trigger == "start" %}mid{% else %}no{% endif %}"#, "no"),
    (r#"{% if config_get("user.foo","") == "bar" and trigger == "start" %}A{% endif %}"#, ""),
    ("{% if 1 == 1 && 2 == 2 %}A{% endif %}", "A"),
    ("{% if not nothing %}n{% endif %}", "n"),
    ("{% if 1 == 2 || 2 == 2 %}A{% endif %}", "A"),
    ("{% if !nothing %}A{% endif %}", "A"),
    (r#"{% if "a" in "abc" %}A{% endif %}"#, "A"),
    ("{% if 3 > 2 %}A{% endif %}", "A"),
    ("{% if properties.n > 2 %}A{% else %}B{% endif %}", "A"),
    (r#"{% if trigger != "x" %}A{% endif %}"#, "A"),
    (r#"{% if trigger <> "x" %}A{% endif %}"#, "A"),
    (
        "{% for k, v in properties %}{{forloop.Counter}}{{forloop.Counter0}}{{forloop.First}}{{forloop.Last}}{{k}}={{v}};{% endfor %}",
        "10TrueFalsen=3;21FalseTruepk=pv;",
    ),
    ("{% for k in properties sorted %}{{k}};{% endfor %}", "n;pk;"),
    ("{% for x in nothing %}a{% empty %}E{% endfor %}", "E"),
    ("{% for k, v in properties %}{{forloop.counter}}{% endfor %}", ""),
    ("{# comment #}x", "x"),
    ("{% comment %}a{{ b }}{% endcomment %}x", "x"),
    ("{% set a = 5 %}{{ a }}", "5"),
    ("{% with a=5 %}{{ a }}{% endwith %}", "5"),
    (r#"{% with a=5 b="c" %}{{ a }}{{ b }}{% endwith %}"#, "5c"),
    ("{% with 5 as a %}{{ a }}{% endwith %}", "5"),
    (r#"{% autoescape off %}{{ "<b>" }}{% endautoescape %}"#, "<b>"),
    (r#"{% autoescape on %}{{ "<b>" }}{% endautoescape %}"#, "&lt;b&gt;"),
    (r#"{% firstof nothing "a" %}"#, "a"),
    ("{% ifequal 1 1 %}A{% endifequal %}", "A"),
    ("{% ifnotequal 1 2 %}A{% endifnotequal %}", "A"),
    ("{% verbatim %}{{ x }}{% endverbatim %}", "{{ x }}"),
    ("{% filter upper %}abc{% endfilter %}", "ABC"),
    ("{% block a %}x{% endblock %}", "x"),
    ("{{ 1 + 2 }} {{ 3 * 4 }} {{ 7 / 2 }} {{ 7 % 2 }} {{ 2 ^ 3 }} {{ 1.5 }}", "3 12 3 1 8.000000 1.500000"),
    (r#"{{ "a" + "b" }}"#, "0"),
    ("{{ 1 == 1 }} {{ true }} {{ false }} {{ nil }} {{ none }} {{ True }}", "True True False   "),
    ("{{ -1 }} {{ 7.0/2 }}", "-1 3.500000"),
    ("{{ (1+2)*3 }}", "9"),
    (r#"{{ "a"|upper|lower }}"#, "a"),
    (r#"{{- "a" -}} x"#, "ax"),
    ("{%- if 1 -%} a {%- endif -%} b", "ab"),
    ("line1\n{% if 1 %}\nA\n{% endif %}\nend\n", "line1\n\nA\n\nend\n"),
    ("no newline", "no newline"),
    ("trailing\n", "trailing\n"),
    ("two\n\n", "two\n\n"),
    (r#"{{ "q\"x" }}"#, r#"q"x"#),
    ("{{ 'single' }}", "single"),
    (r#"{{ nofunc("x") }}"#, ""),
    ("}} %} #}", "}} %} #}"),
    ("{{ instance.nokey }}", ""),
    ("{{ config.user.foo }}", ""),
    (r#"{% if instance.privileged == "false" %}A{% endif %}"#, "A"),
    ("{% if instance.privileged %}A{% else %}B{% endif %}", "A"),
    ("{{ properties.pk.0 }}", "112"),
    ("{{ properties|length }}", "2"),
    (r#"{{ config_get("user.foo","x")|default:"z" }}"#, "bar"),
    (r#"{{ config_get("user.empty","x")|default:"z" }}"#, "x"),
    (r#"{{ "x"|yesno:"a,b" }}"#, "a"),
    ("{{ 1.0|floatformat:2 }}", "1.00"),
    (r#"{{ "a"|stringformat:"%s!" }}"#, "a!"),
    (r#"{{ "5"|integer }}"#, "5"),
    (r#"{{ "abc"|make_list|join:"-" }}"#, "a-b-c"),
    ("{{ 3|divisibleby:3 }}", "True"),
    (r#"{{ "a b c"|wordcount }}"#, "3"),
    (r#"{{ "<p>x</p>"|striptags }}"#, "x"),
    ("{{ 1|pluralize }}", ""),
    (r#"{{ "a b"|wordwrap:1 }}"#, "a\nb"),
    (r#"{{ "1234"|get_digit:2 }}"#, "3"),
    (r#"{{ "x"|iriencode }}"#, "x"),
    (r#"{{ "x" | default : "y" }}"#, "x"),
    (r#"{{ "abc"|default:properties.pk }}"#, "abc"),
    (r#"{{ ""|default:properties.pk }}"#, "pv"),
    ("{% if properties.pk|length == 2 %}A{% endif %}", "A"),
    (r#"{{ properties.pk|add:"x"|upper }}"#, "PVX"),
    (r#"{% if "a" == "a" %}1{% endif %}{% if not ("a" == "b") %}2{% endif %}"#, "12"),
    (r#"{% for i in "abc" %}{{i}},{% endfor %}"#, "a,b,c,"),
    (r#"{{ "&" }}{{ "'" }}{{ "\"" }}"#, r#"&'""#),
    ("{% if config_get(\"user.foo\", \"\") != \"\" -%}\nA\n{%- endif %}", "A"),
    (r#"{{ 5|stringformat:"%03d" }}"#, "005"),
    (r#"{% set x = "a" %}{% for i in "ab" %}{% set x = i %}{% endfor %}{{ x }}"#, "a"),
    (r#"{{ x or "y" }}"#, "True"),
    ("{{ not 1 }}", "0"),
    (r#"{{ "x" and "y" }}"#, "True"),
    (r#"{{ "ü"|upper }}{{ "ü"|length }}"#, "Ü1"),
    ("{% if 1 %}{% set a = 5 %}{% endif %}{{ a }}", "5"),
    (r#"{% if config_get("user.num","") == "5" %}A{% else %}B{% endif %}"#, "A"),
    (r#"[{{ config_get("user.nl","") }}]"#, "[a\nb]"),
    (r#"{% if config_get("user.num","") == 5 %}A{% else %}B{% endif %}"#, "B"),
    (
        "{% for k in properties %}{% if forloop.First %}F{% endif %}{{ forloop.Revcounter }}{{forloop.Revcounter0}}{% endfor %}",
        "F2110",
    ),
    ("{% with a=1 %}{% set b=2 %}{% endwith %}[{{ b }}]", "[]"),
    (r#"{{ "a b c d"|truncatewords:2 }}"#, "a b ..."),
    (r#"{{ 0|yesno }}{{ nothing|yesno }}{{ 1|yesno:"a,b,c" }}"#, "nomaybea"),
    (r#"{{ 2|pluralize }}{{ 1|pluralize:"y,ies" }}{{ 2|pluralize:"y,ies" }}{{ 2|pluralize:"es" }}"#, "syieses"),
    (r#"{{ 3|stringformat:"%5d|" }}{{ "x"|stringformat:"%-5s|" }}{{ 1.5|stringformat:"%.2f" }}"#, "    3|x    |1.50"),
    (r#"{{ "x"|stringformat:"[%s]" }}"#, "[x]"),
    (r#"{{ 1 == "1" }}{{ "1" == "1" }}{{ 1 == 1.0 }}"#, "FalseTrueFalse"),
    (r#"{{ "b" > "a" }}{{ "2" > "1" }}{{ 2.5 > 2 }}"#, "FalseTrueTrue"),
    ("{{ true and false or true }}", "True"),
    ("{{ not true == false }}", "True"),
    (r#"{{ 1 in "123" }}{{ "pk" in properties }}{{ "x" in properties }}"#, "TrueTrueFalse"),
    ("{{ - 1 + 2 }}", "1"),
    ("{{ 2 ^ 3 ^ 2 }}", "512.000000"),
    (r#"{{ "A" == "A" and "B" == "C" or 1 }}"#, "True"),
    (r#"{{ "a,b,c"|split:","|join:"-" }}"#, "a-b-c"),
    (
        r#"{{ "<b>"|upper }}{% autoescape on %}{{ "<b>"|upper }}{{ "<b>"|safe }}{{ "<b>"|escape }}{{ config_get("user.html","") }}{% endautoescape %}"#,
        "<B>&lt;B&gt;<b>&amp;lt;b&amp;gt;&lt;a&amp;b&gt;&#39;&quot;",
    ),
    (r#"{{ "a,b,c"|split:","|first }}{{ "a,b,c"|split:","|last }}{{ "a,b,c"|split:","|length }}"#, "ac3"),
    ("{{ instance|length }}{{ devices|length }}", "52"),
    ("{{ instance }}{{ container }}", "<map[string]string Value><map[string]string Value>"),
    (
        r#"{{ trigger|upper }}{{ trigger|length }}{% if trigger in "start stop" %}I{% endif %}{% if "start" in trigger %}J{% endif %}{% if trigger == trigger %}K{% endif %}"#,
        "START5IJK",
    ),
    (r#"{% if trigger|lower == "start" %}A{% endif %}"#, "A"),
    (r#"{{ trigger|add:"x" }}{{ trigger|capfirst }}"#, "startxStart"),
    (r#"{{ "x"|first|upper }}"#, "X"),
    (r#"{{ "ab"|center:5 }}|{{ "abc"|center:4 }}|"#, "  ab | abc|"),
    (r#"{{ "hello WORLD foo"|title }}"#, "Hello World Foo"),
    (r#"{{ "a-b c"|title }}"#, "A-B C"),
    ("{% filter upper|lower %}aBc{% endfilter %}", "abc"),
    (r#"{% firstof "" 0 "z" %}|{% firstof "" %}|{% firstof "<" %}"#, "z||<"),
    ("{% block a %}x{% endblock a %}", "x"),
    ("{% if 1 %}a{% else %}b{% else %}c{% endif %}", "a"),
    (r#"{% for x in "ab" reversed %}{{x}}{% endfor %}"#, "ba"),
    ("{# a #}{# {{ b }} #}", ""),
    (r#"{{ "{{" }}"#, "{{"),
    (r#"{% if "%}" %}A{% endif %}"#, "A"),
    ("{{ properties.n.0 }}{{ properties.pk.5 }}", "51"),
    (r#"a {{- " b " -}} c"#, "a b c"),
    ("{% verbatim %}{{ x }}{% if %}{% endverbatim %}z", "{{ x }}{% if %}z"),
    (r#"{{ "a"|cut:"a" }}|{{ "ab"|add:1 }}|{{ 1|add:"2" }}|{{ 1.5|add:1 }}"#, "|ab1|12|2.500000"),
    (r#"{{ "x"|default_if_none:"y" }}{{ nothing|length }}{{ nothing|upper }}"#, "x0"),
    ("{{ 5|length }}", "0"),
    (r#"{{ "a b"|wordcount }}{{ ""|wordcount }}"#, "20"),
    (r#"{{ "5.7"|integer }}{{ "x"|integer }}{{ "5.7"|float }}"#, "505.700000"),
    (r#"{{ "abc"|make_list }}"#, "<[]string Value>"),
    (r#"{{ "äö"|first }}{{ "äö"|slice:":1" }}{{ "ä"|ljust:3 }}|"#, "äää  |"),
    (r#"{{ "http://x/ä b"|iriencode }}"#, "http://x/%C3%A4+b"),
    (r#"{{ "a=b&c/d~e_f.g-h"|urlencode }}"#, "a%3Db%26c%2Fd~e_f.g-h"),
    ("{{ 1234|get_digit:1 }}{{ 1234|get_digit:0 }}{{ 1234|get_digit:9 }}", "412341234"),
    (
        r#"{{ "abcdef"|truncatechars:2 }}|{{ "abcdef"|truncatechars:3 }}|{{ "abcdef"|truncatechars:4 }}|{{ "abcdef"|truncatechars:6 }}"#,
        "ab|...|a...|abcdef",
    ),
    (r#"{% set a = "x" %}{% with a="y" %}{{ a }}{% endwith %}{{ a }}"#, "yx"),
    (r#"{{ "a  b"|striptags }}{{ "<a href=x>y"|striptags }}"#, "a  by"),
    ("{{ 1 | add : 2 | add : 3 }}", "6"),
    ("{% if (1 == 1) and (2 == 2) %}A{% endif %}", "A"),
    (r#"{% if not instance.privileged == "true" %}A{% else %}B{% endif %}"#, "B"),
    ("{% if !(1 == 2) %}A{% endif %}", "A"),
    ("{% ifequal 1 2 %}A{% else %}B{% endifequal %}", "B"),
    (
        r#"{{ config_get("user.foo", 5) }}{{ config_get("user.nope", 5) }}{{ config_get("user.nope", nothing) }}"#,
        "bar5",
    ),
];

/// Templates that LXD 5.0.2 refuses.
const REFUSED: &[&str] = &[
    r#"{{ config["user.foo"] }}"#,
    r#"{{ config_get("user.foo") }}"#,
    r#"{{ "abc"|nofilter }}"#,
    r#"{% extends "x" %}"#,
    r#"{% import "x" a %}"#,
    r#"{% ssi "/etc/passwd" %}"#,
    "{% raw %}{{ x }}{% endraw %}",
    r#"{{ "a\nb" }}"#,
    "{{",
    "{{ }}",
    "{% if %}",
    "{% if 1 %}",
    "{% endif %}",
    "{% bogus %}",
    "{{ a b }}",
    r#"{{ "unterminated }}"#,
    "{% for %}",
    "{% for a b %}{% endfor %}",
    "{{ a. }}",
    "{{ a|}}",
    "{{ config_get(1) }}",
    r#"{{ config_get("a","b","c") }}"#,
    "{{ container() }}",
    r#"{{ config["user.foo"]|upper }}"#,
    r#"{{ properties["pk"] }}"#,
    r#"{% if config["user.foo"] %}A{% endif %}"#,
    "{{ \"a\nb\"|linebreaksbr }}",
    "{{ 3.14159|floatformat }}|{{ 3.0|floatformat }}|{{ 3.5|floatformat:0 }}|{{ 2.5|floatformat:-2 }}",
    "{{ config_get }}",
    "{% for a, b, c in properties %}{% endfor %}",
    r#"{% comment "note" %}x{% endcomment %}y"#,
    "{{ properties.pk.a }}",
    "{{ path.0 }}{{ 1.x }}",
    "{{ 0 }}{{ 007 }}{{ 9999999999999999999 }}",
    "{% autoescape %}{% endautoescape %}",
    r#"{{ "a" "b" }}"#,
    "{{ x|y:z }}",
    r#"{{ (1 + 2) }}{{ ("a")|upper }}"#,
];

fn strings(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn metadata(when: &[&str], template: &str) -> ImageMetadata {
    let mut metadata = ImageMetadata::default();
    let entry = crate::api::types::ImageMetadataTemplate {
        when: when.iter().map(|w| (*w).to_owned()).collect(),
        create_only: false,
        template: template.to_owned(),
        properties: strings(&[("pk", "pv"), ("n", "3")]),
    };
    metadata.templates.insert("/out".into(), entry);
    metadata
}

fn render_with(text: &str, trigger: Trigger) -> Result<Vec<Rendered>> {
    let config =
        strings(&[("user.foo", "bar"), ("user.num", "5"), ("user.html", "<a&b>'\""), ("user.nl", "a\nb\r\n\n")]);
    let root = strings(&[("type", "disk"), ("path", "/"), ("pool", "default")]);
    let disk = strings(&[("type", "disk"), ("path", "/mnt"), ("source", "/tmp")]);
    let devices = BTreeMap::from([("root".to_owned(), root), ("d1".to_owned(), disk)]);
    let context = Context {
        name: "c1",
        kind: "container",
        architecture: "x86_64",
        privileged: false,
        ephemeral: false,
        config: &config,
        devices: &devices,
    };
    let texts = BTreeMap::from([("t.tpl".to_owned(), text.to_owned())]);
    render(&metadata(&["start"], "t.tpl"), &texts, trigger, &context)
}

fn render_one(text: &str) -> Result<String> {
    Ok(render_with(text, Trigger::Start)?.remove(0).content)
}

#[test]
fn templates_print_what_lxd_prints() {
    let mut wrong = Vec::new();
    for (template, expected) in PRINTED {
        match render_one(template) {
            Ok(printed) if printed == *expected => {}
            other => wrong.push(format!("{template:?}: {other:?}, not {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn templates_that_lxd_refuses_are_refused() {
    for template in REFUSED {
        let error = render_one(template).expect_err(template);
        assert_eq!(error.kind(), Kind::Invalid, "{template}: {error}");
        assert!(error.message().starts_with("Failed rendering template \"t.tpl\": "), "{error}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (template, name) in [("{% now \"2006\" %}", "tag 'now'"), ("{{ 1|random }}", "filter 'random'")] {
        let error = render_one(template).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{error}");
        assert!(error.message().contains(name), "{error}");
    }
}

#[test]
fn only_the_templates_of_the_trigger_are_rendered() {
    assert!(render_with("x", Trigger::Create).unwrap().is_empty());
    let rendered = render_with("x", Trigger::Start).unwrap();
    assert_eq!(rendered, [Rendered { path: "/out".into(), content: "x".into(), create_only: false }]);
}

#[test]
fn a_debian_hostname_and_the_cloud_init_seeds_come_out_right() {
    assert_eq!(render_one("{{ container.name }}\n").unwrap(), "c1\n");
    let seed = "#cloud-config\ninstance-id: {{ container.name }}\n{{ config_get(\"user.meta-data\", \"\") }}\n\
        {% if config_get(\"user.network-config\", \"\") == \"\" %}version: 1{% else %}\
        {{ config_get(\"user.network-config\", \"\") }}{% endif %}\n";
    assert_eq!(render_one(seed).unwrap(), "#cloud-config\ninstance-id: c1\n\nversion: 1\n");
}

#[test]
fn endless_and_growing_templates_are_stopped() {
    let loops = format!("{}x{}", "{% for a in path %}".repeat(40), "{% endfor %}".repeat(40));
    assert!(render_one(&loops).is_err());
    let wide = "{{ \"x\"|ljust:10000000000 }}";
    assert!(render_one(wide).is_err());
    let grows = format!("{{% set a = \"xxxxxxxxxxxxxxxx\" %}}{}", "{% set a = a|add:a %}".repeat(60));
    assert!(render_one(&grows).is_err());
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(render_one(&deep).is_err());
    let tags = "{% if 1 %}".repeat(10_000);
    assert!(render_one(&tags).is_err());
    assert!(render_one(&"x".repeat(MAX_TEXT + 1)).is_err());
    let chain = format!("{{{{ 1{} }}}}", "|add:1".repeat(100_000));
    assert!(render_one(&chain).is_err());
    let sum = format!("{{{{ 1{} }}}}", "+1".repeat(100_000));
    assert!(render_one(&sum).is_err());
}

#[test]
fn template_files_are_read_without_following_links() {
    use std::os::fd::AsFd;
    let scratch = std::env::temp_dir().join(format!("lxbox-template-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    std::fs::write(scratch.join("good"), "text").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", scratch.join("link")).unwrap();
    std::fs::create_dir_all(scratch.join("directory")).unwrap();
    let directory = std::fs::File::open(&scratch).unwrap();
    let load = |name: &str| load(directory.as_fd(), &metadata(&[], name));
    assert_eq!(load("good").unwrap()["good"], "text");
    assert!(load("missing").unwrap().is_empty());
    for name in ["link", "directory", "../good", "/etc/passwd", "", "..", "."] {
        assert!(load(name).is_err(), "{name}");
    }
    std::fs::remove_dir_all(&scratch).unwrap();
}
