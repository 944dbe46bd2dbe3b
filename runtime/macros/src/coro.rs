//! `#[filch::coro]`: an async function whose coroutine tells when it was never awaited.

use crate::Mistake;
use crate::template::fill;
use proc_macro::{Delimiter, Group, Ident, Literal, Span, TokenStream, TokenTree};

/// `async fn f(a: A) -> T { body }` becomes `fn f(a: A) -> impl Future<Output = T> { coro("f", async move { body }) }`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Mistake> {
    let path = path(arguments)?;
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let body = match tokens.pop() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
        other => {
            let span = other.map_or_else(Span::call_site, |token| token.span());
            return Err(Mistake::new("expected an async function with a body", span));
        }
    };
    let Some(function) = tokens.iter().position(|token| is(token, "fn")) else {
        return Err(Mistake::new("expected an async function", Span::call_site()));
    };
    let Some(position) = tokens[..function].iter().position(|token| is(token, "async")) else {
        let text = "only an `async fn` makes coroutines: this one has no `async`";
        return Err(Mistake::new(text, tokens[function].span()));
    };
    tokens.remove(position);
    // `async` is gone, so `fn` stands one place earlier, and its name where `fn` was.
    let name = tokens.get(function).map(ToString::to_string).unwrap_or_default();
    let Some(place) = parameters(&tokens, function + 1) else {
        return Err(Mistake::new("expected the function's parameters", Span::call_site()));
    };
    let signature_end = tokens[place..]
        .iter()
        .position(|token| is(token, "where"))
        .map_or(tokens.len(), |end| place + end);
    let conditions = tokens.split_off(signature_end);
    let output = match tokens.split_off(place + 1) {
        tokens if tokens.is_empty() => fill("()", &[]),
        // Behind the arrow.
        tokens => tokens.into_iter().skip(2).collect(),
    };
    let Some(TokenTree::Group(list)) = tokens.pop() else {
        return Err(Mistake::new("expected the function's parameters", Span::call_site()));
    };
    let (list, captures) = capture(&list);
    tokens.push(list.into());
    let opaque = mentions(output.clone(), "impl");
    // What the body returns is known before the body is looked at, as in an async function; without it a `?` there would not know its error. (The trick is tracing's.)
    let hint = match opaque {
        true => TokenStream::new(),
        false => fill(
            "#[allow(unreachable_code, clippy::all, reason = \"it is never run\")]
             if false { let output: OUTPUT = loop {}; return output; }",
            &[("OUTPUT", output.clone())],
        ),
    };
    let mut result = fill("#[track_caller]", &[]);
    result.extend(tokens);
    // By the edition of this text the future captures every lifetime, as that of an async function does, whatever the edition of the program is.
    result.extend(fill(
        "-> impl ::core::future::Future<Output = OUTPUT>",
        &[("OUTPUT", output)],
    ));
    result.extend(conditions);
    let source = format!(
        "{{ {path}::__private::coro(::core::concat!(::core::module_path!(), \"::\", NAME), async move {{ CAPTURES HINT BODY }}) }}"
    );
    let holes = [
        ("NAME", TokenTree::from(Literal::string(&name)).into()),
        ("CAPTURES", captures),
        ("HINT", hint),
        ("BODY", body.stream()),
    ];
    result.extend(fill(&source, &holes));
    Ok(result)
}

fn is(token: &TokenTree, text: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == text)
}

fn is_punct(token: &TokenTree, text: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == text)
}

/// Whether a word stands anywhere in it.
fn mentions(stream: TokenStream, word: &str) -> bool {
    stream.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), word),
        token => is(&token, word),
    })
}

/// By which path the program knows filch.
fn path(arguments: TokenStream) -> Result<String, Mistake> {
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    match &tokens[..] {
        [] => Ok("::filch".to_owned()),
        [name, equals, value] if is(name, "crate") && is_punct(equals, '=') => {
            let text = value.to_string();
            match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
                Some(path) if !path.is_empty() && path.parse::<TokenStream>().is_ok() => Ok(path.to_owned()),
                _ => Err(Mistake::new("`crate` takes a path in quotes", value.span())),
            }
        }
        [other, ..] => Err(Mistake::new(
            "the only argument that there is: `crate = \"path\"`",
            other.span(),
        )),
    }
}

/// How deep in angle brackets each token is. The one of an arrow is none.
fn depths(tokens: &[TokenTree]) -> impl Iterator<Item = (usize, i32)> {
    let mut depth = 0;
    tokens.iter().enumerate().map(move |(place, token)| {
        let arrow = place > 0 && is_punct(&tokens[place - 1], '-');
        if is_punct(token, '>') && !arrow {
            depth -= 1;
        }
        let here = depth;
        if is_punct(token, '<') {
            depth += 1;
        }
        (place, here)
    })
}

/// The place of the parameters, which may stand behind generic ones.
fn parameters(tokens: &[TokenTree], from: usize) -> Option<usize> {
    let is_list =
        |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis);
    let rest = tokens.get(from..)?;
    let mut places = depths(rest).filter(|(place, depth)| *depth == 0 && is_list(&rest[*place]));
    places.next().map(|(place, _)| from + place)
}

/// The parameters, each with a name, and what moves them into the coroutine, whether its body uses them or not, and takes them apart there: as an async function does.
fn capture(list: &Group) -> (Group, TokenStream) {
    let tokens: Vec<TokenTree> = list.stream().into_iter().collect();
    let commas: Vec<usize> = depths(&tokens)
        .filter(|(place, depth)| *depth == 0 && is_punct(&tokens[*place], ','))
        .map(|(place, _)| place)
        .collect();
    let mut parameters = TokenStream::new();
    let mut captures = TokenStream::new();
    let mut begin = 0;
    for end in commas.into_iter().chain([tokens.len()]) {
        let parameter = &tokens[begin..end];
        if !parameter.is_empty() {
            one(parameter, &mut parameters, &mut captures);
        }
        parameters.extend(tokens.get(end).cloned());
        begin = end + 1;
    }
    let mut captured = Group::new(Delimiter::Parenthesis, parameters);
    captured.set_span(list.span());
    (captured, captures)
}

fn one(parameter: &[TokenTree], parameters: &mut TokenStream, captures: &mut TokenStream) {
    // A colon that is no half of a path's.
    let colon = (0..parameter.len()).find(|&place| {
        let beside = |place: Option<usize>| {
            place
                .and_then(|place| parameter.get(place))
                .is_some_and(|token| is_punct(token, ':'))
        };
        is_punct(&parameter[place], ':') && !beside(place.checked_sub(1)) && !beside(Some(place + 1))
    });
    let pattern = &parameter[..colon.unwrap_or(parameter.len())];
    // Attributes stay where they are.
    let begin = pattern.chunks(2).take_while(|pair| is_punct(&pair[0], '#')).count() * 2;
    let pattern = &pattern[begin..];
    let name = match pattern {
        _ if pattern.iter().any(|token| is(token, "self")) => pattern.iter().find(|token| is(token, "self")),
        [name @ TokenTree::Ident(_)] if !is(name, "_") => Some(name),
        [first, name @ TokenTree::Ident(_)] if is(first, "mut") => Some(name),
        _ => None,
    };
    if let Some(name) = name {
        parameters.extend(parameter.iter().cloned());
        captures.extend(fill("let _ = &NAME;", &[("NAME", name.clone().into())]));
        return;
    }
    // No name of the program's: each text has its own.
    let name: TokenTree = Ident::new(
        &format!("argument_{}", captures.clone().into_iter().count()),
        Span::mixed_site(),
    )
    .into();
    parameters.extend(parameter[..begin].iter().cloned());
    parameters.extend([name.clone()]);
    parameters.extend(parameter[begin + pattern.len()..].iter().cloned());
    captures.extend(fill("let _ = &NAME;", &[("NAME", name.clone().into())]));
    let pattern: TokenStream = pattern.iter().cloned().collect();
    captures.extend(fill(
        "let PATTERN = NAME;",
        &[("PATTERN", pattern), ("NAME", name.into())],
    ));
}
