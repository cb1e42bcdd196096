/* Makes the file operations below one folder as slow as those of a share. Preloaded (LD_PRELOAD): each open, stat,
   listing, read, creation and removal below SLOW_BELOW sleeps for SLOW_SECONDS first. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void pause_for(const char *path)
{
    const char *root = getenv("SLOW_BELOW"), *seconds = getenv("SLOW_SECONDS");
    if (!root || !seconds || !path || strncmp(path, root, strlen(root)))
        return;
    double wait = atof(seconds);
    struct timespec span = {(time_t)wait, (long)((wait - (time_t)wait) * 1e9)};
    nanosleep(&span, NULL);
}

static void pause_for_open(int file)
{
    char link[64], path[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) > 0)
        pause_for(path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;                                                      \
        va_end(more);                                                                                                  \
        pause_for(path);                                                                                               \
        return NEXT(name)(path, flags, mode);                                                                          \
    }
OPEN(open)
OPEN(open64)

#define OF_PATH(result, name, declared, passed)                                                                        \
    result name declared                                                                                               \
    {                                                                                                                  \
        pause_for(path);                                                                                               \
        return NEXT(name) passed;                                                                                      \
    }
#define OF_FILE(result, name, declared, passed)                                                                        \
    result name declared                                                                                               \
    {                                                                                                                  \
        pause_for_open(file);                                                                                          \
        return NEXT(name) passed;                                                                                      \
    }
OF_PATH(int, stat, (const char *path, struct stat *found), (path, found))
OF_PATH(int, stat64, (const char *path, struct stat64 *found), (path, found))
OF_PATH(int, lstat, (const char *path, struct stat *found), (path, found))
OF_PATH(int, lstat64, (const char *path, struct stat64 *found), (path, found))
OF_PATH(int, unlink, (const char *path), (path))
OF_FILE(int, fstat, (int file, struct stat *found), (file, found))
OF_FILE(int, fstat64, (int file, struct stat64 *found), (file, found))
OF_FILE(ssize_t, read, (int file, void *data, size_t size), (file, data, size))

DIR *opendir(const char *path)
{
    pause_for(path); /* it is opened, */
    pause_for(path); /* and its names are fetched */
    return NEXT(opendir)(path);
}
