// Some cases of the benches for goroutines and channels. It is told what to do, and answers, as the children of the Rust programs are:
// --child CASE CONTENDER POINT timed|counts, and lines of a name and a number.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tasks is how many of them the spawning cases have.
const tasks = 10_000

// spawnJoin starts goroutines one after the other, each when the one before has ended.
func spawnJoin() {
	for i := uint32(0); i < tasks; i++ {
		result := make(chan uint32, 1)
		go func(i uint32) { result <- i }(i)
		<-result
	}
}

// skynet is a million leaves under nodes of ten children, which sum up their numbers. A node has a channel for its children's.
func skynet() {
	result := make(chan uint64, 1)
	skynetNode(result, 0, 1_000_000)
	if sum := <-result; sum != 1_000_000*999_999/2 {
		panic("the sum is wrong")
	}
}

func skynetNode(result chan<- uint64, number, size uint64) {
	if size == 1 {
		result <- number
		return
	}
	size /= 10
	numbers := make(chan uint64, 10)
	for i := uint64(0); i < 10; i++ {
		go skynetNode(numbers, number+i*size, size)
	}
	sum := uint64(0)
	for i := 0; i < 10; i++ {
		sum += <-numbers
	}
	result <- sum
}

// fib is Fibonacci's numbers, a goroutine for each call.
func fib() {
	result := make(chan uint64, 1)
	fibNode(result, 24)
	if <-result != 46_368 {
		panic("the number is wrong")
	}
}

func fibNode(result chan<- uint64, n int) {
	if n < 2 {
		result <- uint64(n)
		return
	}
	numbers := make(chan uint64, 2)
	go fibNode(numbers, n-1)
	go fibNode(numbers, n-2)
	result <- <-numbers + <-numbers
}

// pingPong is pairs of goroutines that answer each other over channels for one value each.
func pingPong() {
	const pairs = 1_000
	done := make(chan struct{}, pairs)
	for i := 0; i < pairs; i++ {
		go func() {
			ping, pong := make(chan struct{}, 1), make(chan struct{}, 1)
			go func() {
				<-ping
				pong <- struct{}{}
			}()
			go func() {
				ping <- struct{}{}
				<-pong
				done <- struct{}{}
			}()
		}()
	}
	for i := 0; i < pairs; i++ {
		<-done
	}
}

// A benchmark has so many operations in a round, rounds to warm up, and rounds that count.
type benchmark struct {
	run                       func()
	operations, warm, counted int
}

var benchmarks = map[string]benchmark{
	"spawn_join": {spawnJoin, tasks, 3, 10},
	"skynet":     {skynet, 1_111_111, 1, 3},
	"fib":        {fib, 150_048, 2, 7},
	"ping_pong":  {pingPong, 1_000, 3, 10},
}

// median is the middle one; the mean of the middle two for an even number.
func median(values []float64) float64 {
	sort.Float64s(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// cpuSeconds is the processor time that this process has used.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	seconds := func(time syscall.Timeval) float64 { return float64(time.Sec) + float64(time.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

// peakBytes is the most memory that this process had.
func peakBytes() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				panic(err)
			}
			return kib * 1024
		}
	}
	panic("the system does not say it")
}

func main() {
	if len(os.Args) != 6 || os.Args[1] != "--child" {
		fmt.Fprintln(os.Stderr, "cargo bench -- --full runs this")
		os.Exit(2)
	}
	name := os.Args[2]
	benchmark, known := benchmarks[name]
	if !known {
		fmt.Fprintln(os.Stderr, "there is no case", name)
		os.Exit(2)
	}
	// As many as the runtimes have workers.
	runtime.GOMAXPROCS(2)
	for i := 0; i < benchmark.warm; i++ {
		benchmark.run()
	}
	begin := cpuSeconds()
	times := make([]float64, benchmark.counted)
	for i := range times {
		begin := time.Now()
		benchmark.run()
		times[i] = float64(time.Since(begin).Nanoseconds()) / float64(benchmark.operations)
	}
	seconds := cpuSeconds() - begin
	fmt.Println(name, median(times))
	fmt.Println("operations", (benchmark.warm+benchmark.counted)*benchmark.operations)
	fmt.Println("peak", peakBytes())
	fmt.Println("cpu", seconds)
	fmt.Println("cpu operations", benchmark.counted*benchmark.operations)
}
