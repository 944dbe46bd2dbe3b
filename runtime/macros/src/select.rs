//! `select!`: the parts that bring branches into order and write a poll function.
//!
//! ```text
//! [biased;] { pattern = future [, if condition] => handler [,] }* [else => handler [,]]
//! ```
//!
//! Where a pattern or an expression ends the compiler knows best, so three macros work hand in hand. [`arrange`] looks at arrows only: it puts a comma behind each
//! block that is a handler and has none, and the part of `else` first. `__select_branches` of crate filch, a `macro_rules`, has all parts read as what
//! they are, and hands them over one by one. [`expand`] writes the code.

use crate::Mistake;
use crate::template::fill;
use proc_macro::{Delimiter, Group, Punct, Spacing, Span, TokenStream, TokenTree};

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
    } = read(input)?;
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
            let selected = {{
                let mut disabled = [false; {count}];
                CONDITIONS
                // In one statement: what a future borrows from lives as long as it.
                let ({made}) = (FUTURES);
                {converted}
                {pinned}
                ::core::future::poll_fn(|cx| {{
                    let mut waiting = false;
                    let start: u32 = {start};
                    for branch in ::core::iter::Iterator::chain(start..{count}u32, 0..start) {{
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
            // A pattern may borrow from it with `ref mut`.
            #[allow(unused_mut)]
            let mut selected = selected;
            match selected {{
                HANDLERS
                __FilchSelected::Disabled => (OTHERWISE),
                #[allow(unreachable_patterns)]
                _ => ::core::unreachable!(\"the pattern was tried before\"),
            }}
        }}",
        parameters = parts.parameters,
        variants = parts.variants,
        made = parts.made,
        converted = parts.converted,
        pinned = parts.pinned,
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
    made: String,
    converted: String,
    /// The last one first: they are dropped in the order of their branches.
    pinned: String,
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
        self.made += &format!("future{index}, ");
        self.converted += &format!("let future{index} = ::core::future::IntoFuture::into_future(future{index});");
        let pinned = format!("let mut future{index} = ::core::pin::pin!(future{index});");
        self.pinned.insert_str(0, &pinned);
        self.futures.extend(fill("FUTURE,", &[("FUTURE", future)]));
        // The pattern is tried on a reference first, so that a value that does not fit disables the branch.
        let source = format!(
            "{index}u32 => if !disabled[{index}] {{
                match ::core::future::Future::poll(::core::pin::Pin::as_mut(&mut future{index}), cx) {{
                    ::core::task::Poll::Pending => waiting = true,
                    // The output may be one that there never is.
                    #[allow(unreachable_code)]
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
        // In parentheses: as it stands it could end before an operator, as in `if a { 1 } else { 2 } + 1`.
        let source = format!("__FilchSelected::Branch{index}(PATTERN) => (HANDLER),");
        self.handlers
            .extend(fill(&source, &[("PATTERN", pattern), ("HANDLER", handler)]));
    }
}

/// The pattern as it fits a reference to the value: without `mut`, `ref` and `&`, which then are no part of it or, in some editions, not allowed.
fn by_reference(pattern: TokenStream) -> TokenStream {
    let mut cleaned = TokenStream::new();
    // Types stand between `<` and `>`, and are left as they are.
    let mut depth = 0usize;
    for token in pattern {
        match &token {
            TokenTree::Ident(ident) if depth == 0 && ["mut", "ref"].contains(&ident.to_string().as_str()) => continue,
            TokenTree::Punct(punct) if depth == 0 && punct.as_char() == '&' => continue,
            TokenTree::Punct(punct) if punct.as_char() == '<' => depth += 1,
            TokenTree::Punct(punct) if punct.as_char() == '>' => depth = depth.saturating_sub(1),
            TokenTree::Group(group) if depth == 0 => {
                let inside = by_reference(group.stream());
                // A group without delimiters is what a macro took for a pattern.
                if group.delimiter() == Delimiter::None {
                    cleaned.extend(inside);
                    continue;
                }
                let mut group = Group::new(group.delimiter(), inside);
                group.set_span(token.span());
                cleaned.extend([TokenTree::from(group)]);
                continue;
            }
            _ => {}
        }
        cleaned.extend([token]);
    }
    cleaned
}

/// Reads what `__select_branches` hands over: `(path) (biased or nothing) (else or nothing) { (pattern) (future) (condition or nothing) (handler) }*`.
fn read(input: TokenStream) -> Result<Input, Mistake> {
    let mut parts = Vec::new();
    for token in input {
        let TokenTree::Group(group) = token else {
            return Err(not_called_by_hand());
        };
        parts.push(group.stream());
    }
    let [path, biased, otherwise, branches @ ..] = parts.as_slice() else {
        return Err(not_called_by_hand());
    };
    let given = |part: &TokenStream| (!part.is_empty()).then(|| part.clone());
    let branches = branches.chunks_exact(4).map(|parts| Branch {
        pattern: parts[0].clone(),
        future: parts[1].clone(),
        condition: given(&parts[2]),
        handler: parts[3].clone(),
    });
    Ok(Input {
        path: path.clone(),
        biased: !biased.is_empty(),
        branches: branches.collect(),
        otherwise: given(otherwise),
    })
}

fn not_called_by_hand() -> Mistake {
    Mistake::new("this is called by `filch::select!` only", Span::call_site())
}

/// Makes a call of `__select_branches` of what the user wrote behind `(path)`.
pub(crate) fn arrange(input: TokenStream) -> Result<TokenStream, Mistake> {
    let tokens: Vec<TokenTree> = input.into_iter().collect();
    let Some((TokenTree::Group(path), mut tokens)) = tokens.split_first() else {
        return Err(not_called_by_hand());
    };
    let mut biased = TokenStream::new();
    if let [first, second, rest @ ..] = tokens {
        if is_ident(first, "biased") && is_punct(second, ';') {
            biased.extend([first.clone()]);
            tokens = rest;
        }
    }
    let otherwise = (0..tokens.len()).find(|&at| is_ident(&tokens[at], "else") && is_arrow(&tokens[at + 1..]));
    let (branches, otherwise) = tokens.split_at(otherwise.unwrap_or(tokens.len()));
    let otherwise: TokenStream = otherwise.iter().skip(3).cloned().collect();
    if branches.is_empty() && otherwise.is_empty() {
        return Err(Mistake::new("`select!` needs at least one branch", Span::call_site()));
    }
    if let Some(last) = branches
        .last()
        .filter(|_| !(0..branches.len()).any(|at| is_arrow(&branches[at..])))
    {
        return Err(Mistake::new("expected `pattern = future => handler`", last.span()));
    }
    if branches.is_empty() {
        let source = "PATH::__select_else!(OTHERWISE)";
        return Ok(fill(source, &[("PATH", path.stream()), ("OTHERWISE", otherwise)]));
    }
    let holes = [
        ("PATH", path.stream()),
        ("BIASED", biased),
        ("OTHERWISE", otherwise),
        ("BRANCHES", with_commas(branches)),
    ];
    Ok(fill("PATH::__select_branches!((BIASED) (OTHERWISE) BRANCHES)", &holes))
}

/// The branches, with a comma behind each handler that is a block.
fn with_commas(tokens: &[TokenTree]) -> TokenStream {
    let mut output = TokenStream::new();
    for (at, token) in tokens.iter().enumerate() {
        output.extend([token.clone()]);
        // `{ ... }.method()` and `{ ... }?` go on.
        let goes_on = tokens
            .get(at + 1)
            .is_none_or(|next| [',', '.', '?'].iter().any(|&sign| is_punct(next, sign)));
        if at >= 2 && is_arrow(&tokens[at - 2..]) && is_block(token) && !goes_on {
            let mut comma = Punct::new(',', Spacing::Alone);
            comma.set_span(token.span());
            output.extend([TokenTree::from(comma)]);
        }
    }
    output
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == name)
}

/// Whether `tokens` begin with `=>`.
fn is_arrow(tokens: &[TokenTree]) -> bool {
    let joint = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint);
    matches!(tokens, [equals, greater, ..] if is_punct(equals, '=') && joint(equals) && is_punct(greater, '>'))
}

/// Whether it is a block, or what a macro took for one.
fn is_block(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else { return false };
    match group.delimiter() {
        Delimiter::Brace => true,
        Delimiter::None => {
            let inside: Vec<TokenTree> = group.stream().into_iter().collect();
            matches!(inside.as_slice(), [token] if is_block(token))
        }
        _ => false,
    }
}
