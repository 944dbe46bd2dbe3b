/* Short reads and writes, for LD_PRELOAD: what would move many bytes of a stream moves a random number of them, at least one.
 *
 * It does not lie. On TCP an edge-triggered reader may take a short read for the news that the buffer is empty (epoll(7), question 9), and a short
 * write for one that is full, so an operation that is cut off here is followed by an edge: the descriptor is set again, as it was, in its epoll,
 * which reports it anew if it is ready. That is what the kernel does when bytes, or room, come right after a short operation.
 *
 * FILCH_SHORT names a file of at least 16 bytes; how many reads and writes were cut off stands in it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DESCRIPTORS = 65536 };

/* The epoll of each descriptor plus one, and with what it was set. */
static struct { atomic_int epoll; atomic_uint events; _Atomic uint64_t data; } set[DESCRIPTORS];
static _Atomic uint64_t *cut; /* reads, writes */

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FILCH_SHORT");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) abort();
    cut = page;
    close(file);
}

/* Xorshift64 (Marsaglia, 2003), a state for each thread. */
static uint64_t draw(void) {
    static _Thread_local uint64_t state;
    if (!state) state = 0x9e3779b97f4a7c15 * (uint64_t)syscall(SYS_gettid);
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* How many of `length` bytes it is to be: all of them at times, mostly few. Datagrams, eventfds and files are left alone. */
static size_t shorter(int fd, size_t length) {
    int type;
    socklen_t size = sizeof type;
    if (length < 2 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_STREAM || draw() % 4 == 0) return length;
    size_t most = (size_t)1 << draw() % 13;
    return 1 + draw() % (most < length ? most : length);
}

static ssize_t moved(int fd, int writes, size_t wanted, size_t offered, ssize_t result) {
    if (offered < wanted && result == (ssize_t)offered) {
        atomic_fetch_add(&cut[writes], 1);
        if (fd < DESCRIPTORS && set[fd].epoll) {
            struct epoll_event event = {.events = set[fd].events, .data.u64 = set[fd].data};
            syscall(SYS_epoll_ctl, set[fd].epoll - 1, EPOLL_CTL_MOD, fd, &event);
        }
    }
    return result;
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event) {
    if (fd >= 0 && fd < DESCRIPTORS) {
        set[fd].epoll = 0;
        if (what != EPOLL_CTL_DEL) {
            set[fd].events = event->events;
            set[fd].data = event->data.u64;
            set[fd].epoll = epoll + 1;
        }
    }
    return syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

/* How many whole buffers and bytes of the next one make `length`; the rest is cut off in a copy. */
enum { BUFFERS = 64 };

static ssize_t vectored(long call, int fd, const struct iovec *buffers, int count, int writes) {
    size_t wanted = 0, left;
    if (count > BUFFERS) count = BUFFERS;
    for (int i = 0; i < count; i++) wanted += buffers[i].iov_len;
    size_t offered = left = shorter(fd, wanted);
    struct iovec copy[BUFFERS];
    int used = 0;
    while (used < count && left > 0) {
        copy[used] = buffers[used];
        if (copy[used].iov_len > left) copy[used].iov_len = left;
        left -= copy[used++].iov_len;
    }
    return moved(fd, writes, wanted, offered, syscall(call, fd, copy, used));
}

static ssize_t message(long call, int fd, const struct msghdr *given, int flags, int writes) {
    struct msghdr copy = *given;
    struct iovec first;
    size_t wanted = 0, offered;
    for (size_t i = 0; i < given->msg_iovlen; i++) wanted += given->msg_iov[i].iov_len;
    offered = shorter(fd, wanted);
    if (offered < wanted && given->msg_iov[0].iov_len > 0) {
        first = given->msg_iov[0];
        if (first.iov_len > offered) first.iov_len = offered;
        offered = first.iov_len;
        copy.msg_iov = &first;
        copy.msg_iovlen = 1;
    } else {
        offered = wanted;
    }
    ssize_t result = syscall(call, fd, &copy, flags);
    if (!writes) { /* what the kernel said of the rest */
        struct msghdr *back = (struct msghdr *)given;
        back->msg_namelen = copy.msg_namelen;
        back->msg_controllen = copy.msg_controllen;
        back->msg_flags = copy.msg_flags;
    }
    return moved(fd, writes, wanted, offered, result);
}

ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *from, socklen_t *size) {
    size_t offered = flags & MSG_PEEK ? length : shorter(fd, length);
    return moved(fd, 0, length, offered, syscall(SYS_recvfrom, fd, buffer, offered, flags, from, size));
}
ssize_t recv(int fd, void *buffer, size_t length, int flags) { return recvfrom(fd, buffer, length, flags, NULL, NULL); }
ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
    size_t offered = shorter(fd, length);
    return moved(fd, 1, length, offered, syscall(SYS_sendto, fd, buffer, offered, flags, to, size));
}
ssize_t send(int fd, const void *buffer, size_t length, int flags) { return sendto(fd, buffer, length, flags, NULL, 0); }
ssize_t read(int fd, void *buffer, size_t length) {
    size_t offered = shorter(fd, length);
    return moved(fd, 0, length, offered, syscall(SYS_read, fd, buffer, offered));
}
ssize_t write(int fd, const void *buffer, size_t length) {
    size_t offered = shorter(fd, length);
    return moved(fd, 1, length, offered, syscall(SYS_write, fd, buffer, offered));
}
ssize_t readv(int fd, const struct iovec *buffers, int count) { return vectored(SYS_readv, fd, buffers, count, 0); }
ssize_t writev(int fd, const struct iovec *buffers, int count) { return vectored(SYS_writev, fd, buffers, count, 1); }
ssize_t recvmsg(int fd, struct msghdr *given, int flags) { return message(SYS_recvmsg, fd, given, flags, 0); }
ssize_t sendmsg(int fd, const struct msghdr *given, int flags) { return message(SYS_sendmsg, fd, given, flags, 1); }
