/* Start a program with this one's input and outputs, and wait until it ends. */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

#define LONGEST_PATH 4096
#define LONGEST_COMMAND 32768 /* what CreateProcess takes */

/* The exit code of the program that `command` starts. A `job` ends it when this program ends. */
static int run_and_wait(wchar_t *command, HANDLE job)
{
    STARTUPINFOW startup = {sizeof startup};
    PROCESS_INFORMATION child;
    DWORD code = 1;
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    startup.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    startup.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    HANDLE handles[] = {startup.hStdInput, startup.hStdOutput, startup.hStdError};
    for (int i = 0; i < 3; i++)
        SetHandleInformation(handles[i], HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    if (!CreateProcessW(NULL, command, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &child)) {
        fwprintf(stderr, L"cannot start %ls (%lu)\n", command, GetLastError());
        return 127;
    }
    if (job)
        AssignProcessToJobObject(job, child.hProcess);
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    return (int)code;
}
