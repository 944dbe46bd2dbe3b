//! The stack of another thread of this process, taken while it is stuck.
//!
//! The thread gets a signal, and walks its own stack in the signal's handler: nobody else can, while it runs. The handler stores return addresses into memory that was there before, in the way
//! that `sheet.rs` states; functions and lines are looked up by whoever asked. What a handler may do at all, at any instruction of a program, is little:
//!
//! - It takes no lock and allocates nothing. The unwinder finds its tables by glibc's `_dl_find_object`, which takes none either; it came with glibc 2.35, so on an older one no stack is taken:
//!   its `dl_iterate_phdr` takes a lock that another thread may hold while it waits for what the interrupted one has.
//! - It leaves `errno` as it was.
//! - A signal that was not asked for goes to the handler that was there before, if there was any.
//!
//! The signal is SIGURG, which is ignored unless somebody asks for it, comes with nothing but out-of-band data, and is not counted on by libraries or debuggers; Go interrupts its goroutines by it
//! for these reasons. The handler stays once it is there: somebody who came later may have it in his chain. It runs on the thread's own stack, which has far more room than the
//! alternative one, unless the handler before it asked for that.
//!
//! A thread that is asked cannot be gone: it is inside a poll that cannot end while whoever asks holds its probe's lock.

use crate::debug::report::Frame;
use crate::debug::sheet::Sheet;
use libc::{c_int, c_void, siginfo_t};
use std::mem::MaybeUninit;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

const SIGNAL: c_int = libc::SIGURG;

/// Addresses of one stack, at most: the innermost ones.
const DEPTH: usize = 128;

/// How long a thread that does not block the signal may take to write. It is far more than a busy machine needs to run a thread that can run.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks whether it has.
const LOOK: Duration = Duration::from_micros(200);

/// How long, after one that has not: something is in the way of the signal.
const SHORT_PATIENCE: Duration = Duration::from_millis(50);

static SHEET: OnceLock<Sheet> = OnceLock::new();

/// What was done at the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Whether the handler is there, or why it is not. Asked for when it is needed first.
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// One thread is asked at a time, and so long.
static ASKING: Mutex<Duration> = Mutex::new(PATIENCE);

/// A thread of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadId(c_int);

/// The return addresses of a thread, or why there are none.
pub(crate) struct Sample(Result<Vec<usize>, String>);

impl ThreadId {
    pub(crate) fn current() -> Self {
        Self(rustix::thread::gettid().as_raw_nonzero().get())
    }

    fn number(self) -> usize {
        self.0.unsigned_abs() as usize
    }

    /// The stack of this thread, which stays in the poll that it is in until this returns.
    pub(crate) fn sample(self) -> Sample {
        let mut patience = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        Sample(self.ask(&mut patience))
    }

    fn ask(self, patience: &mut Duration) -> Result<Vec<usize>, String> {
        INSTALLED.get_or_init(install).clone()?;
        let sheet = sheet();
        if self.blocks_signal() {
            return Err("the thread blocks SIGURG".to_owned());
        }
        if !sheet.ask(self.number()) {
            return Err("another thread is still writing its own".to_owned());
        }
        if !self.send() {
            sheet.give_up(self.number());
            return Err("the signal could not be sent".to_owned());
        }
        let deadline = Instant::now() + *patience;
        while Instant::now() < deadline {
            if let Some(addresses) = sheet.collect() {
                *patience = PATIENCE;
                return Ok(addresses);
            }
            std::thread::sleep(LOOK);
        }
        sheet.give_up(self.number());
        *patience = SHORT_PATIENCE;
        Err("the thread did not answer in time".to_owned())
    }

    fn send(self) -> bool {
        let process = std::process::id();
        // SAFETY: tgkill takes three numbers and touches no memory. (libc has no function of this name everywhere.) That there is a handler,
        // without which the signal would be ignored, was seen to before.
        unsafe { libc::syscall(libc::SYS_tgkill, process, self.0, SIGNAL) == 0 }
    }

    /// Whether the thread blocks the signal, as far as the system tells.
    fn blocks_signal(self) -> bool {
        let Ok(status) = std::fs::read_to_string(format!("/proc/self/task/{}/status", self.0)) else {
            return false;
        };
        let set = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let bits = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
        bits.is_some_and(|bits| bits & (1 << (SIGNAL - 1)) != 0)
    }
}

fn sheet() -> &'static Sheet {
    SHEET.get_or_init(|| Sheet::new(DEPTH))
}

/// Puts the handler in.
fn install() -> Result<(), String> {
    let version = glibc();
    if version.is_none_or(|version| version < (2, 35)) {
        return Err("it takes glibc 2.35 or newer".to_owned());
    }
    // The unwinder prepares itself on its first use, which is not to be inside of a handler.
    walk(|_| false);
    sheet();
    let before = current_action().ok_or("the system does not say what SIGURG does")?;
    let before = BEFORE.get_or_init(|| before);
    let mut action = *before;
    // The alternative stack only for who asked for it; and a system call that is interrupted goes on.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | before.sa_flags & libc::SA_ONSTACK;
    action.sa_sigaction = on_signal as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
    // SAFETY: the action is a valid one: it was the system's own, and what was put into it is a function with the three parameters that SA_SIGINFO promises,
    // which does what a handler may do (see the head of this file). A null pointer asks for nothing back.
    let result = unsafe { libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut()) };
    match result {
        0 => Ok(()),
        _ => Err("the system refuses a handler of SIGURG".to_owned()),
    }
}

/// What the process does at the signal now.
fn current_action() -> Option<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer changes nothing, and the other one has room for an action.
    let result = unsafe { libc::sigaction(SIGNAL, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: it was zeroed, which is a valid value of these integers, and of an optional function; and the system has filled it in.
    (result == 0).then(|| unsafe { action.assume_init() })
}

/// The version of glibc that the program runs with.
fn glibc() -> Option<(u32, u32)> {
    // SAFETY: it takes nothing.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: it is a text of the library's own, which ends with a zero and stays for ever.
    let version = unsafe { std::ffi::CStr::from_ptr(version) };
    let (major, rest) = version.to_str().ok()?.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The handler. It may run at any instruction of any thread, and of several at once.
extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: it takes nothing, and gives the place of this thread's own `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the place is this thread's, and there as long as the thread.
    let before = unsafe { *errno };
    // Both are there: they were made before the handler was put in.
    match (SHEET.get(), BEFORE.get()) {
        // Ours. (If it is another one, which came first, then ours is the one that is passed on.)
        (Some(sheet), _) if sheet.begin(ThreadId::current().number()) => {
            sheet.finish(write(sheet, interrupted_at(context)));
        }
        (_, Some(action)) => pass_on(action, signal, info, context),
        (_, None) => {}
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Writes the return addresses from the interrupted instruction on, and says how many.
fn write(sheet: &Sheet, from: Option<usize>) -> usize {
    let (mut count, mut found) = (0, false);
    walk(|address| {
        // What is inside of it is the handler.
        found |= Some(address) == from;
        if !found {
            return true;
        }
        count += 1;
        sheet.write(count - 1, address)
    });
    count
}

/// Calls `each` with the return addresses of this thread's stack, until it says false.
fn walk(mut each: impl FnMut(usize) -> bool) {
    // SAFETY: it wants nobody else to be in it, for other platforms' sake: this backend is libgcc's `_Unwind_Backtrace`, which any number of
    // threads may use at once, and which takes no lock with the glibc that was asked for.
    unsafe { backtrace::trace_unsynchronized(|frame| each(frame.ip().addr())) };
}

/// Calls the handler that was there before.
fn pass_on(before: &libc::sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let handler = before.sa_sigaction;
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return;
    }
    if before.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: whoever put it there said by SA_SIGINFO that it is a function with these parameters; the system did the same by it.
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = unsafe { std::mem::transmute(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: without SA_SIGINFO it is a function with this one parameter.
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
        handler(signal);
    }
}

/// The address of the instruction that the signal interrupted.
#[cfg(target_arch = "x86_64")]
fn interrupted_at(context: *mut c_void) -> Option<usize> {
    // SAFETY: SA_SIGINFO promises a context of this type, good as long as the handler runs.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    usize::try_from(context.uc_mcontext.gregs[libc::REG_RIP as usize]).ok()
}

/// The address of the instruction that the signal interrupted.
#[cfg(target_arch = "aarch64")]
fn interrupted_at(context: *mut c_void) -> Option<usize> {
    // SAFETY: SA_SIGINFO promises a context of this type, good as long as the handler runs.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    usize::try_from(context.uc_mcontext.pc).ok()
}

/// Elsewhere it is not known, so there is no stack.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn interrupted_at(_: *mut c_void) -> Option<usize> {
    None
}

impl Sample {
    /// Looks up what stands at the addresses: the functions from the innermost one on, down to the poll.
    pub(crate) fn resolve(self) -> Result<Vec<Frame>, String> {
        let mut frames = Vec::new();
        for address in self.0? {
            let before = frames.len();
            backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
                frames.push(Frame {
                    address,
                    function: symbol.name().map(|name| format!("{name:#}")),
                    file: symbol.filename().map(|file| file.display().to_string()),
                    line: symbol.lineno(),
                });
            });
            if frames.len() == before {
                frames.push(Frame {
                    address,
                    function: None,
                    file: None,
                    line: None,
                });
            }
            // What is further out is the runtime, and looking it up takes time.
            if let Some(end) = frames[before..].iter().position(is_poll) {
                frames.truncate(before + end);
                break;
            }
        }
        // Between the poll and the program: the runtime's own futures around the program's.
        while frames.len() > 1 && frames.last().is_some_and(is_ours) {
            frames.pop();
        }
        match frames.is_empty() {
            true => Err("nothing of it could be read".to_owned()),
            false => Ok(frames),
        }
    }
}

/// Whether it is the function that polls tasks, or the future of a `block_on`.
fn is_poll(frame: &Frame) -> bool {
    let names = ["filch::task::raw::", "<filch::debug::main_future::Main"];
    frame
        .function()
        .is_some_and(|function| names.iter().any(|name| function.starts_with(name)))
}

/// Whether it is a function of the runtime, or of the standard library's catching of panics.
fn is_ours(frame: &Frame) -> bool {
    let names = [
        "filch::",
        "core::panic::",
        "std::panic::",
        "std::panicking::",
        "__rust_try",
    ];
    frame.function().is_some_and(|function| {
        let function = function.trim_start_matches('<');
        names.iter().any(|name| function.starts_with(name))
    })
}
