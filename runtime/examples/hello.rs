//! The shortest program: `cargo run -p filch --example hello`.

fn main() {
    filch::run(async {
        let greeting = filch::spawn(async { "hello from a task" });
        println!("{}", greeting.await.expect("the task neither panics nor is aborted"));
    });
}
