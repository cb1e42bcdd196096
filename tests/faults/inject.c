/* Lets one file operation of this process fail, or ends the process there. Preloaded (LD_PRELOAD), and idle until
   inject_from_now_on is called. Only operations that change something below one folder count; programs that the
   process starts, and forks of it, are left alone. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GO_ON, HALF = -1 };

static char root[PATH_MAX];
static pid_t process;
static int list, at, problem, lasting, halved, count;

/* number_: the operation that is hit, from 1; 0 hits none. problem_: the errno it fails with; 0 ends the process.
   lasting_: all that follow fail, too. halved_: it is a write, of which the first half is done.
   names: a file that gets a line for each operation. */
void inject_from_now_on(const char *root_, int number_, int problem_, int lasting_, int halved_, const char *names)
{
    strncpy(root, root_, sizeof root - 1);
    at = number_, problem = problem_, lasting = lasting_, halved = halved_;
    list = open(names, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    process = getpid();
}

static int below(const char *path)
{
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && path[length] == '/';
}

/* What becomes of an operation on `name` in the folder `place`, or on the open file `place` where there is no name. */
static int verdict(const char *operation, int place, const char *name)
{
    char path[PATH_MAX] = "", link[64];
    if (!process || getpid() != process)
        return GO_ON;
    if (!name || name[0] != '/') {
        snprintf(link, sizeof link, place == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", place);
        if (readlink(link, path, sizeof path - 1) < 0)
            return GO_ON;
    }
    if (!below(name && name[0] == '/' ? name : path))
        return GO_ON;
    int number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    dprintf(list, "%s %s%s%s\n", operation, name && name[0] == '/' ? "" : path, name && *path ? "/" : "", name ? name : "");
    if (!at || number < at || (number > at && !lasting))
        return GO_ON;
    /* A full disk lets files be removed, and those that exist be opened. */
    if (problem == ENOSPC && (!strcmp(operation, "unlink") || (!strcmp(operation, "open") && !access(name, F_OK))))
        return GO_ON;
    if (halved && number == at)
        return HALF;
    if (!problem)
        kill(process, SIGKILL);
    return problem;
}

#define REAL(function) \
    static __typeof__(&function) real; \
    if (!real) \
        real = (__typeof__(&function))dlsym(RTLD_NEXT, #function);

#define REPLACED(function, operation, place, name, parameters, arguments) \
    int function parameters \
    { \
        REAL(function) \
        int failure = verdict(operation, place, name); \
        if (failure > 0) { \
            errno = failure; \
            return -1; \
        } \
        return real arguments; \
    }

/* Files that are only read do not count. */
#define OPENS(function, place, parameters, arguments) \
    int function parameters \
    { \
        REAL(function) \
        mode_t mode = 0; \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        int failure = (flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT) ? 0 : verdict("open", place, name); \
        if (failure > 0) { \
            errno = failure; \
            return -1; \
        } \
        return real arguments; \
    }

#define WRITES(function, parameters, arguments, half) \
    ssize_t function parameters \
    { \
        REAL(function) \
        int failure = verdict("write", file, NULL); \
        if (failure == HALF) { \
            ssize_t written = size > 1 ? real half : 0; \
            if (!problem) \
                kill(process, SIGKILL); \
            failure = written > 0 ? GO_ON : problem; \
            if (written > 0) \
                return written; \
        } \
        if (failure > 0) { \
            errno = failure; \
            return -1; \
        } \
        return real arguments; \
    }

OPENS(open, AT_FDCWD, (const char *name, int flags, ...), (name, flags, mode))
OPENS(open64, AT_FDCWD, (const char *name, int flags, ...), (name, flags, mode))
OPENS(openat, place, (int place, const char *name, int flags, ...), (place, name, flags, mode))
OPENS(openat64, place, (int place, const char *name, int flags, ...), (place, name, flags, mode))
WRITES(write, (int file, const void *data, size_t size), (file, data, size), (file, data, size / 2))
WRITES(pwrite, (int file, const void *data, size_t size, off_t where), (file, data, size, where),
       (file, data, size / 2, where))
WRITES(pwrite64, (int file, const void *data, size_t size, off64_t where), (file, data, size, where),
       (file, data, size / 2, where))
REPLACED(fsync, "sync", file, NULL, (int file), (file))
REPLACED(fdatasync, "sync", file, NULL, (int file), (file))
REPLACED(ftruncate, "truncate", file, NULL, (int file, off_t size), (file, size))
REPLACED(ftruncate64, "truncate", file, NULL, (int file, off64_t size), (file, size))
REPLACED(rename, "rename", AT_FDCWD, to, (const char *from, const char *to), (from, to))
REPLACED(renameat, "rename", there, to, (int here, const char *from, int there, const char *to),
         (here, from, there, to))
REPLACED(link, "link", AT_FDCWD, to, (const char *from, const char *to), (from, to))
REPLACED(linkat, "link", there, to, (int here, const char *from, int there, const char *to, int flags),
         (here, from, there, to, flags))
REPLACED(unlink, "unlink", AT_FDCWD, name, (const char *name), (name))
REPLACED(unlinkat, "unlink", place, name, (int place, const char *name, int flags), (place, name, flags))
REPLACED(rmdir, "unlink", AT_FDCWD, name, (const char *name), (name))
REPLACED(mkdir, "mkdir", AT_FDCWD, name, (const char *name, mode_t mode), (name, mode))
REPLACED(mkdirat, "mkdir", place, name, (int place, const char *name, mode_t mode), (place, name, mode))
REPLACED(chmod, "chmod", AT_FDCWD, name, (const char *name, mode_t mode), (name, mode))
