//! The attributes `#[filch::main]`, `#[filch::test]` and `#[filch::coro]`, and what `filch::select!` expands to.
//!
//! They read no more of a function than they have to: its attributes, `async`, its name and its body. So they need no parser of the
//! whole language, and add nothing to the time that a program takes to build.

mod coro;
mod select;
mod template;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Makes an async function the program's entry: its body runs on a filch runtime.
///
/// Everything that the body leaves behind is cancelled and awaited before the program ends, as by `filch::run`.
///
/// Arguments, all optional: `flavor = "multi_thread"` (default) or `"current_thread"`; `worker_threads = N` (multi_thread only);
/// `start_paused = true`; `crate = "path"`, where filch goes by another name.
///
/// ```ignore
/// #[filch::main]
/// async fn main() {
///     filch::time::sleep(std::time::Duration::from_millis(1)).await;
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(arguments, item, Kind::Main).unwrap_or_else(Mistake::report)
}

/// Makes an async function a test that runs on a filch runtime of its own.
///
/// The arguments are those of `main`; the default flavor is `"current_thread"`.
///
/// ```ignore
/// #[filch::test]
/// async fn it_sleeps() {
///     filch::time::sleep(std::time::Duration::from_millis(1)).await;
/// }
/// ```
///
/// With `deterministic` the test runs in a deterministic runtime, once for each of `seeds` (a range, or one number; `0..100` if it is not given), with two
/// virtual workers unless told otherwise. The first failure ends it and prints its seed; the environment variable `FILCH_SEED` runs one seed alone. The body then
/// gives `()` or a `Result`.
///
/// ```ignore
/// #[filch::test(deterministic, seeds = 0..1000)]
/// async fn whatever_the_order() {
///     let task = filch::spawn(async { 1 });
///     assert_eq!(task.await.unwrap(), 1);
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(arguments, item, Kind::Test).unwrap_or_else(Mistake::report)
}

/// Has the coroutines of an async function say, in debug mode, when they are dropped and nobody has awaited them. See `filch::debug`.
///
/// Everything else stays as it is: what the function takes and gives, whether its future is `Send`, its attributes, generics and lifetimes. It may be a method, or implement one of a trait. The
/// argument `crate = "path"` is for programs where filch goes by another name.
///
/// ```ignore
/// #[filch::coro]
/// async fn fetch(name: &str) -> std::io::Result<String> {
///     Ok(name.to_string())
/// }
/// ```
#[proc_macro_attribute]
pub fn coro(arguments: TokenStream, item: TokenStream) -> TokenStream {
    coro::expand(arguments, item).unwrap_or_else(Mistake::report)
}

/// The outside of `filch::select!`: brings its branches into order.
#[doc(hidden)]
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    select::arrange(input).unwrap_or_else(Mistake::report)
}

/// The inside of `filch::select!`: writes its code.
#[doc(hidden)]
#[proc_macro]
pub fn select_branches(input: TokenStream) -> TokenStream {
    select::expand(input).unwrap_or_else(Mistake::report)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Main,
    Test,
}

/// What is wrong, and where.
struct Mistake {
    text: String,
    span: Span,
}

impl Mistake {
    fn new(text: impl Into<String>, span: Span) -> Self {
        Self {
            text: text.into(),
            span,
        }
    }

    /// `compile_error! { "text" }`, at the place of the mistake.
    fn report(self) -> TokenStream {
        let mut text = Literal::string(&self.text);
        text.set_span(self.span);
        let mut group = Group::new(Delimiter::Brace, TokenTree::from(text).into());
        group.set_span(self.span);
        let mut bang = Punct::new('!', Spacing::Alone);
        bang.set_span(self.span);
        [
            TokenTree::from(Ident::new("compile_error", self.span)),
            bang.into(),
            group.into(),
        ]
        .into_iter()
        .collect()
    }
}

/// The arguments of the attribute.
struct Settings {
    multi_thread: bool,
    worker_threads: Option<Literal>,
    start_paused: bool,
    deterministic: bool,
    seeds: Option<TokenStream>,
    path: String,
}

impl Settings {
    fn parse(arguments: TokenStream, kind: Kind) -> Result<Self, Mistake> {
        let mut settings = Self {
            multi_thread: kind == Kind::Main,
            worker_threads: None,
            start_paused: false,
            deterministic: false,
            seeds: None,
            path: "::filch".into(),
        };
        let mut flavor = false;
        let tokens: Vec<TokenTree> = arguments.into_iter().collect();
        for argument in tokens.split(|token| token.to_string() == ",") {
            match argument {
                [] => {}
                [name] if name.to_string() == "deterministic" && kind == Kind::Test => settings.deterministic = true,
                [name, equals, value @ ..] if name.to_string() == "seeds" && equals.to_string() == "=" => {
                    settings.seeds = Some(value.iter().cloned().collect());
                }
                [name, equals, value] if equals.to_string() == "=" => {
                    flavor |= name.to_string() == "flavor";
                    settings.set(name, value)?;
                }
                [_, equals, _, other, ..] if equals.to_string() == "=" => {
                    return Err(Mistake::new("expected a comma between arguments", other.span()));
                }
                [name, ..] => return Err(Mistake::new(format!("expected `{name} = value`"), name.span())),
            }
        }
        if let (Some(seeds), false) = (&settings.seeds, settings.deterministic) {
            let span = seeds
                .clone()
                .into_iter()
                .next()
                .map_or_else(Span::call_site, |token| token.span());
            return Err(Mistake::new("`seeds` needs `deterministic`, in a test", span));
        }
        // Where the seed chooses, one worker would leave it little to choose.
        settings.multi_thread |= settings.deterministic && !flavor;
        if settings.worker_threads.is_some() && !settings.multi_thread {
            let text = "`worker_threads` needs `flavor = \"multi_thread\"`";
            return Err(Mistake::new(text, Span::call_site()));
        }
        Ok(settings)
    }

    fn set(&mut self, name: &TokenTree, value: &TokenTree) -> Result<(), Mistake> {
        let text = value.to_string();
        match (name.to_string().as_str(), text.as_str(), value) {
            ("flavor", "\"multi_thread\"", _) => self.multi_thread = true,
            ("flavor", "\"current_thread\"", _) => self.multi_thread = false,
            ("flavor", ..) => {
                let text = "the flavor is \"multi_thread\" or \"current_thread\"";
                return Err(Mistake::new(text, value.span()));
            }
            ("worker_threads", number, TokenTree::Literal(literal))
                if number.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                self.worker_threads = Some(literal.clone());
            }
            ("worker_threads", ..) => return Err(Mistake::new("`worker_threads` takes a number", value.span())),
            ("start_paused", "true", _) => self.start_paused = true,
            ("start_paused", "false", _) => self.start_paused = false,
            ("start_paused", ..) => return Err(Mistake::new("`start_paused` takes true or false", value.span())),
            ("crate", path, _) if path.len() > 2 && path.starts_with('"') && path.ends_with('"') => {
                self.path = path[1..path.len() - 1].to_string();
            }
            ("crate", ..) => return Err(Mistake::new("`crate` takes a path in quotes", value.span())),
            (other, ..) => {
                let text = format!(
                    "unknown argument `{other}`: there are flavor, worker_threads, start_paused and crate, and for tests \
                     deterministic and seeds"
                );
                return Err(Mistake::new(text, name.span()));
            }
        }
        Ok(())
    }

    /// A call that runs the block `body` to its end.
    fn call(&self, body: Group, kind: Kind) -> Result<TokenStream, Mistake> {
        let flavor = if self.multi_thread {
            "multi_thread"
        } else {
            "current_thread"
        };
        let Self { path, .. } = self;
        let run = if self.deterministic { "run_seeds" } else { "run" };
        let mut source = format!("{path}::__private::{run}(&mut {path}::runtime::Builder::new_{flavor}()");
        if let Some(workers) = &self.worker_threads {
            source += &format!(".worker_threads({workers})");
        }
        if self.start_paused {
            source += ".start_paused(true)";
        }
        // A test has nobody to give the processors to.
        if kind == Kind::Test && self.multi_thread && self.worker_threads.is_none() && !self.deterministic {
            source += ".worker_threads(1)";
        }
        // Many tests share a process, so a Ctrl-C is the harness's.
        if kind == Kind::Test {
            source += &format!(".on_interrupt({path}::runtime::Interrupt::Exit)");
        }
        if self.deterministic {
            let seeds = self
                .seeds
                .as_ref()
                .map_or_else(|| "0..100".to_owned(), TokenStream::to_string);
            source += &format!(", {seeds}, ||");
        } else {
            source += ",";
        }
        source += " async)";
        let span = Span::call_site();
        let call: TokenStream = source
            .parse()
            .map_err(|_| Mistake::new("`crate` must be a path, and `seeds` a range or a number", span))?;
        // The body goes behind `async`, at the end of the call's arguments: the last group.
        let mut tokens: Vec<TokenTree> = call.into_iter().collect();
        let TokenTree::Group(arguments) = tokens.pop().ok_or_else(|| Mistake::new("empty path", span))? else {
            return Err(Mistake::new("`crate` must be the path of a module", span));
        };
        let mut inner: TokenStream = arguments.stream();
        inner.extend([TokenTree::from(Ident::new("move", span)), body.into()]);
        tokens.push(Group::new(Delimiter::Parenthesis, inner).into());
        Ok(tokens.into_iter().collect())
    }
}

fn expand(arguments: TokenStream, item: TokenStream, kind: Kind) -> Result<TokenStream, Mistake> {
    let settings = Settings::parse(arguments, kind)?;
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let body = match tokens.pop() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
        other => {
            let span = other.map_or_else(Span::call_site, |token| token.span());
            return Err(Mistake::new("expected an async function with a body", span));
        }
    };
    let is = |token: &TokenTree, text: &str| matches!(token, TokenTree::Ident(ident) if ident.to_string() == text);
    let Some(function) = tokens.iter().position(|token| is(token, "fn")) else {
        return Err(Mistake::new("expected an async function", Span::call_site()));
    };
    let Some(position) = tokens[..function].iter().position(|token| is(token, "async")) else {
        return Err(Mistake::new(
            "the `async` keyword is missing from the function",
            tokens[function].span(),
        ));
    };
    tokens.remove(position);
    // `async` is gone, so `fn` stands one place earlier.
    let parameters = tokens[function - 1..].iter().find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Some(group),
        _ => None,
    });
    if let Some(parameters) = parameters.filter(|parameters| !parameters.stream().is_empty()) {
        let text = match kind {
            Kind::Main => "the main function takes no parameters",
            Kind::Test => "a test function takes no parameters",
        };
        return Err(Mistake::new(text, parameters.span()));
    }
    let call = settings.call(body.clone(), kind)?;
    let mut block = Group::new(Delimiter::Brace, call);
    block.set_span(body.span());
    tokens.push(block.into());
    let mut output: TokenStream = match kind {
        Kind::Main => TokenStream::new(),
        Kind::Test => "#[::core::prelude::v1::test]".parse().unwrap_or_default(),
    };
    output.extend(tokens);
    Ok(output)
}
