//! `select!`: the part that reads branches and writes a poll function.
//!
//! ```text
//! (path of filch) [biased;] { pattern = future [, if condition] => handler [,] }* [else => handler [,]]
//! ```
//!
//! A future's expression ends at `=>`, or at `, if`; a handler is a block, or an expression that ends at a comma. Only
//! what stands at the top level counts, so no parser of expressions is needed. (Commas of generic arguments, as in `f::<A, B>()`, are told apart.)

use crate::Mistake;
use crate::template::fill;
use proc_macro::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};

struct Branch {
    pattern: TokenStream,
    future: TokenStream,
    condition: Option<TokenStream>,
    handler: TokenStream,
}

struct Input {
    path: TokenStream,
    biased: bool,
    branches: Vec<Branch>,
    otherwise: Option<TokenStream>,
}

pub(crate) fn expand(input: TokenStream) -> Result<TokenStream, Mistake> {
    let Input {
        path,
        biased,
        branches,
        otherwise,
    } = parse(input)?;
    let count = branches.len();
    let mut parts = Parts::default();
    for (index, branch) in branches.into_iter().enumerate() {
        parts.add(index, branch);
    }
    let start = match biased {
        true => "0".to_owned(),
        false => format!("PATH::__private::random_below({count})"),
    };
    let otherwise = otherwise.unwrap_or_else(|| {
        fill(
            "::core::panic!(\"all branches of `select!` are disabled, and there is no `else` branch\")",
            &[],
        )
    });
    let source = format!(
        "{{
            #[allow(dead_code)]
            enum __FilchSelected<{parameters}> {{ {variants} Disabled }}
            #[allow(unused_mut)]
            let selected = {{
                let mut disabled = [false; {count}];
                CONDITIONS
                FUTURES
                ::core::future::poll_fn(|cx| {{
                    let mut waiting = false;
                    let start: u32 = {start};
                    for branch in (start..{count}u32).chain(0..start) {{
                        match branch {{
                            POLLS
                            _ => ::core::unreachable!(),
                        }}
                    }}
                    if waiting {{
                        ::core::task::Poll::Pending
                    }} else {{
                        ::core::task::Poll::Ready(__FilchSelected::Disabled)
                    }}
                }}).await
            }};
            #[allow(unreachable_patterns, clippy::match_single_binding)]
            match selected {{
                HANDLERS
                __FilchSelected::Disabled => OTHERWISE,
                _ => ::core::unreachable!(\"the pattern was tried before\"),
            }}
        }}",
        parameters = parts.parameters,
        variants = parts.variants,
    );
    let holes = [
        ("PATH", path),
        ("OTHERWISE", otherwise),
        ("CONDITIONS", parts.conditions),
        ("FUTURES", parts.futures),
        ("POLLS", parts.polls),
        ("HANDLERS", parts.handlers),
    ];
    Ok(fill(&source, &holes))
}

/// The pieces of all branches.
#[derive(Default)]
struct Parts {
    parameters: String,
    variants: String,
    conditions: TokenStream,
    futures: TokenStream,
    polls: TokenStream,
    handlers: TokenStream,
}

impl Parts {
    fn add(&mut self, index: usize, branch: Branch) {
        self.parameters += &format!("T{index}, ");
        self.variants += &format!("Branch{index}(T{index}), ");
        let Branch {
            pattern,
            future,
            condition,
            handler,
        } = branch;
        if let Some(condition) = condition {
            let source = format!("disabled[{index}] = !(CONDITION);");
            self.conditions.extend(fill(&source, &[("CONDITION", condition)]));
        }
        let source =
            format!("let mut future{index} = ::core::pin::pin!(::core::future::IntoFuture::into_future(FUTURE));");
        self.futures.extend(fill(&source, &[("FUTURE", future)]));
        // The pattern is tried on a reference first, so that a value that does not fit disables the branch.
        let source = format!(
            "{index}u32 => if !disabled[{index}] {{
                match ::core::future::Future::poll(::core::pin::Pin::as_mut(&mut future{index}), cx) {{
                    ::core::task::Poll::Pending => waiting = true,
                    ::core::task::Poll::Ready(output) => {{
                        disabled[{index}] = true;
                        #[allow(unused_variables, unreachable_patterns, clippy::match_single_binding)]
                        let fits = match &output {{ PATTERN => true, _ => false }};
                        if fits {{
                            return ::core::task::Poll::Ready(__FilchSelected::Branch{index}(output));
                        }}
                    }}
                }}
            }},"
        );
        self.polls
            .extend(fill(&source, &[("PATTERN", by_reference(pattern.clone()))]));
        let source = format!("__FilchSelected::Branch{index}(PATTERN) => HANDLER,");
        self.handlers
            .extend(fill(&source, &[("PATTERN", pattern), ("HANDLER", handler)]));
    }
}

/// The pattern as it fits a reference to the value: without `mut` and `ref`.
fn by_reference(pattern: TokenStream) -> TokenStream {
    let kept = pattern.into_iter().filter_map(|token| match token {
        TokenTree::Ident(ident) if ["mut", "ref"].contains(&ident.to_string().as_str()) => None,
        TokenTree::Group(group) => {
            let mut cleaned = Group::new(group.delimiter(), by_reference(group.stream()));
            cleaned.set_span(group.span());
            Some(cleaned.into())
        }
        token => Some(token),
    });
    kept.collect()
}

/// The tokens that are left to read.
struct Tokens {
    all: Vec<TokenTree>,
    at: usize,
}

impl Tokens {
    fn peek(&self, ahead: usize) -> Option<&TokenTree> {
        self.all.get(self.at + ahead)
    }

    fn next(&mut self) -> Option<TokenTree> {
        self.at += 1;
        self.all.get(self.at - 1).cloned()
    }

    fn is_punct(&self, ahead: usize, sign: char) -> bool {
        matches!(self.peek(ahead), Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
    }

    fn is_ident(&self, ahead: usize, name: &str) -> bool {
        matches!(self.peek(ahead), Some(TokenTree::Ident(ident)) if ident.to_string() == name)
    }

    /// Takes the next `count` tokens away, if `found`.
    fn take_if(&mut self, found: bool, count: usize) -> bool {
        self.at += if found { count } else { 0 };
        found
    }

    fn take_arrow(&mut self) -> bool {
        let joint = matches!(self.peek(0), Some(TokenTree::Punct(punct)) if punct.spacing() == Spacing::Joint);
        self.take_if(joint && self.is_punct(0, '=') && self.is_punct(1, '>'), 2)
    }

    fn take_comma_if(&mut self) -> bool {
        self.take_if(self.is_punct(0, ',') && self.is_ident(1, "if"), 2)
    }
}

fn parse(input: TokenStream) -> Result<Input, Mistake> {
    let mut tokens = Tokens {
        all: input.into_iter().collect(),
        at: 0,
    };
    let Some(TokenTree::Group(path)) = tokens.next() else {
        return Err(Mistake::new(
            "this is called by `filch::select!` only",
            Span::call_site(),
        ));
    };
    let biased = tokens.is_ident(0, "biased") && tokens.is_punct(1, ';');
    tokens.take_if(biased, 2);
    let mut input = Input {
        path: path.stream(),
        biased,
        branches: Vec::new(),
        otherwise: None,
    };
    while let Some(first) = tokens.peek(0) {
        let span = first.span();
        if tokens.is_ident(0, "else") {
            tokens.next();
            if !tokens.take_arrow() {
                return Err(Mistake::new("expected `=>` behind `else`", span));
            }
            input.otherwise = Some(handler(&mut tokens, span)?);
            if let Some(rest) = tokens.next() {
                return Err(Mistake::new("`else` must be the last branch", rest.span()));
            }
            break;
        }
        input.branches.push(branch(&mut tokens, span)?);
    }
    if input.branches.is_empty() {
        return Err(Mistake::new("`select!` needs at least one branch", Span::call_site()));
    }
    Ok(input)
}

fn branch(tokens: &mut Tokens, span: Span) -> Result<Branch, Mistake> {
    let pattern = pattern(tokens).ok_or_else(|| Mistake::new("expected `pattern = future => handler`", span))?;
    let mut future = TokenStream::new();
    let mut condition = None;
    while !tokens.take_arrow() {
        // In front of the arrow stands the future, and behind `, if` the condition.
        if condition.is_none() && tokens.take_comma_if() {
            condition = Some(TokenStream::new());
            continue;
        }
        let token = tokens
            .next()
            .ok_or_else(|| Mistake::new("expected `=> handler` behind the future", span))?;
        condition.as_mut().unwrap_or(&mut future).extend([token]);
    }
    if future.is_empty() || condition.as_ref().is_some_and(TokenStream::is_empty) {
        return Err(Mistake::new(
            "expected `pattern = future, if condition => handler`",
            span,
        ));
    }
    Ok(Branch {
        pattern,
        future,
        condition,
        handler: handler(tokens, span)?,
    })
}

/// What stands in front of the first `=` that is no part of another operator.
fn pattern(tokens: &mut Tokens) -> Option<TokenStream> {
    let mut pattern = TokenStream::new();
    // Whether the token before was a sign that belongs together with this one, as in `..=`.
    let mut joined = false;
    loop {
        let token = tokens.next()?;
        let TokenTree::Punct(punct) = &token else {
            joined = false;
            pattern.extend([token]);
            continue;
        };
        let goes_on = punct.spacing() == Spacing::Joint && (tokens.is_punct(0, '=') || tokens.is_punct(0, '>'));
        if punct.as_char() == '=' && !joined && !goes_on {
            return (!pattern.is_empty()).then_some(pattern);
        }
        joined = punct.spacing() == Spacing::Joint;
        pattern.extend([token]);
    }
}

/// The block, or the expression up to the comma.
fn handler(tokens: &mut Tokens, span: Span) -> Result<TokenStream, Mistake> {
    // `{ ... }.method()` and `{ ... }?` go on.
    let goes_on = tokens.is_punct(1, '.') || tokens.is_punct(1, '?');
    if let Some(TokenTree::Group(group)) = tokens.peek(0) {
        if group.delimiter() == Delimiter::Brace && !goes_on {
            let block = TokenTree::from(group.clone());
            tokens.next();
            tokens.take_if(tokens.is_punct(0, ','), 1);
            return Ok(block.into());
        }
    }
    let mut handler = TokenStream::new();
    // How deep within `::<...>`, whose commas end nothing.
    let mut depth = 0usize;
    let mut colons = 0;
    let mut before = ' ';
    while let Some(token) = tokens.next() {
        let sign = match &token {
            TokenTree::Punct(punct) => punct.as_char(),
            _ => ' ',
        };
        match sign {
            ',' if depth == 0 => break,
            '<' if depth > 0 || colons == 2 => depth += 1,
            '>' if depth > 0 && before != '-' && before != '=' => depth -= 1,
            _ => {}
        }
        colons = if sign == ':' { colons + 1 } else { 0 };
        before = sign;
        handler.extend([token]);
    }
    if handler.is_empty() {
        return Err(Mistake::new("expected a handler behind `=>`", span));
    }
    Ok(handler)
}
