/* A file system that has no locks: every flock of this process fails with the errno in NO_LOCKS. Preloaded. */

#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>

int flock(int file, int operation)
{
    (void)file, (void)operation;
    errno = atoi(getenv("NO_LOCKS"));
    return -1;
}
