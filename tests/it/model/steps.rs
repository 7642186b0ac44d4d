//! Sequences of steps.

use std::sync::LazyLock;

use super::grammar::Source;
use super::grammar::Template;
use super::random::Random;
use super::setting::Setting;
use super::step::Args;
use super::step::Step;
use super::templates::DATABASES;
use super::templates::GROUPS;
use super::values::Maker;

/// The templates of a group, parsed.
struct Group {
    weight: usize,
    templates: Vec<Template>,
}

static PARSED: LazyLock<Vec<Group>> = LazyLock::new(|| {
    let parsed = |texts: &[&'static str]| texts.iter().map(|text| Template::parse(text)).collect();
    let databases = ("databases", 30, DATABASES);
    let all = GROUPS.iter().copied().chain([databases]);
    all.map(|(_, weight, texts)| Group { weight, templates: parsed(texts) }).collect()
});

/// Makes the steps of a case.
pub struct Steps {
    maker: Maker,
    has_databases: bool,
    /// A group whose commands are chosen more often.
    focus: usize,
}

impl Steps {
    pub fn new(setting: &Setting, focus: usize) -> Self {
        let maker = Maker::new(setting.seed, setting.tag);
        Self { maker, has_databases: setting.has_databases, focus }
    }

    /// The next step.
    pub fn next(&mut self) -> Step {
        match self.random().below(100) {
            0..50 => self.single(Step::Command),
            50..62 => self.single(Step::Packed),
            62..65 => self.single(Step::Client),
            65..70 => Step::Sent(self.several(4)),
            70..84 => Step::Pipeline(self.several(10)),
            84..86 => Step::Pipeline(self.several(100)),
            86..93 => Step::Atomic(self.at_home(8)),
            93..99 => self.transaction(),
            _ => Step::Reconnect,
        }
    }

    fn random(&mut self) -> &mut Random {
        self.maker.random()
    }

    fn single(&mut self, as_step: fn(Args) -> Step) -> Step {
        let args = self.command(20);
        let is_scan = args.first().is_some_and(|name| name.ends_with(b"SCAN"));
        if is_scan { Step::Scan(args) } else { as_step(args) }
    }

    fn several(&mut self, most: usize) -> Vec<Args> {
        let count = 1 + self.random().below(most);
        (0..count).map(|_| self.repeatable(|steps| steps.command(3))).collect()
    }

    /// Commands whose keys mostly have one hash tag.
    fn at_home(&mut self, most: usize) -> Vec<Args> {
        let home = *self.random().pick(b"tu");
        let count = 1 + self.random().below(most);
        let mut commands = Vec::new();
        for _ in 0..count {
            commands.push(self.repeatable(|steps| steps.command_at(home)));
        }
        commands
    }

    fn transaction(&mut self) -> Step {
        let home = *self.random().pick(b"tu");
        let strings = Template::parse("{ <s> }");
        let watched = if self.random().chance(50) {
            self.maker.stay(home);
            strings.expand(&mut self.maker)
        } else {
            Vec::new()
        };
        let touched = if self.random().chance(30) { watched.first().cloned() } else { None };
        let count = self.random().below(6);
        let commands =
            (0..count).map(|_| self.repeatable(|steps| steps.command_at(home))).collect();
        let is_kept = self.random().chance(85);
        Step::Transaction { watched, touched, commands, is_kept }
    }

    /// A command that does the same on both sides by itself, and is no part of a transaction.
    fn repeatable(&mut self, make: impl Fn(&mut Self) -> Args) -> Args {
        const OTHERS: [&[u8]; 6] = [b"SPOP", b"WATCH", b"UNWATCH", b"EXEC", b"DISCARD", b"MULTI"];
        loop {
            let args = make(self);
            let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
            let chooses = name == b"XADD" && args.iter().any(|argument| argument == b"*");
            if !OTHERS.contains(&name.as_slice()) && !chooses {
                return args;
            }
        }
    }

    fn template(&mut self) -> &'static Template {
        let group = if self.random().chance(50) { self.focus } else { self.any_group() };
        self.random().pick(&PARSED[group].templates)
    }

    fn any_group(&mut self) -> usize {
        let groups = if self.has_databases { PARSED.len() } else { PARSED.len() - 1 };
        let total = PARSED[..groups].iter().map(|group| group.weight).sum();
        let mut left = self.random().below(total);
        for (number, group) in PARSED[..groups].iter().enumerate() {
            if left < group.weight {
                return number;
            }
            left -= group.weight;
        }
        0
    }

    /// A command, of which `percent` of a hundred may have keys on several nodes though it must not.
    fn command(&mut self, percent: usize) -> Args {
        let template = self.template();
        self.maker.begin(if template.is_split() { 80 } else { percent });
        self.finished(template)
    }

    fn command_at(&mut self, home: u8) -> Args {
        loop {
            let template = self.template();
            if template.has_keys() || self.random().chance(5) {
                self.maker.stay(home);
                return self.finished(template);
            }
        }
    }

    fn finished(&mut self, template: &Template) -> Args {
        self.maker.allow_binary_keys(!template.has_keys_in_errors());
        let mut args = template.expand(&mut self.maker);
        if !template.is_delicate() && self.random().chance(5) {
            self.spoil(&mut args);
        }
        if self.random().chance(10) {
            args[0] = args[0].to_ascii_lowercase();
        }
        args
    }

    /// Makes a command wrong, or nearly so. Nothing becomes a short time, or a wait without end.
    fn spoil(&mut self, args: &mut Args) {
        let place = 1 + self.random().below(args.len());
        let odd = self.maker.value('w');
        match self.random().below(4) {
            0 => args.truncate(place),
            1 if place < args.len() => drop(args.remove(place)),
            2 if place < args.len() => args[place] = odd,
            _ => args.push(odd),
        }
    }
}
