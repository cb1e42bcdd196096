/* python.exe of virtual environments. As CPython's own (PC/launcher.c with VENV_REDIRECT) it starts the interpreter that
   pyvenv.cfg names as `home`, and that interpreter ends with it. */
#include "child.h"

static BOOL WINAPI leave_it_to_the_child(DWORD event)
{
    return TRUE;
}

static int read_home(const wchar_t *configuration, wchar_t *home)
{
    char line[LONGEST_PATH];
    int found = 0;
    FILE *file = _wfopen(configuration, L"rb");
    if (!file)
        return 0;
    while (!found && fgets(line, sizeof line, file)) {
        char *value = strchr(line, '=');
        if (strncmp(line, "home", 4) || !value || line + 4 + strspn(line + 4, " ") != value)
            continue;
        value += 1 + strspn(value + 1, " ");
        value[strcspn(value, "\r\n")] = 0;
        found = MultiByteToWideChar(CP_UTF8, 0, value, -1, home, LONGEST_PATH) > 0;
    }
    fclose(file);
    return found;
}

/* This program's command line without its own name, still quoted as it was. */
static const wchar_t *own_arguments(void)
{
    const wchar_t *rest = GetCommandLineW();
    if (*rest == L'"') {
        rest = wcschr(rest + 1, L'"');
        return rest ? rest + 1 : L"";
    }
    return rest + wcscspn(rest, L" \t");
}

int wmain(void)
{
    static wchar_t self[LONGEST_PATH], folder[LONGEST_PATH], home[LONGEST_PATH];
    static wchar_t configuration[LONGEST_PATH + 20], command[LONGEST_COMMAND];
    GetModuleFileNameW(NULL, self, LONGEST_PATH);
    wcscpy(folder, self);
    wchar_t *name = wcsrchr(folder, L'\\');
    *name++ = 0;
    swprintf(configuration, LONGEST_PATH + 20, L"%ls\\pyvenv.cfg", folder);
    if (!read_home(configuration, home)) {
        swprintf(configuration, LONGEST_PATH + 20, L"%ls\\..\\pyvenv.cfg", folder);
        if (!read_home(configuration, home)) {
            fwprintf(stderr, L"failed to locate pyvenv.cfg: %ls\n", configuration);
            return 106;
        }
    }
    /* By this the interpreter knows which environment it is to be. */
    SetEnvironmentVariableW(L"__PYVENV_LAUNCHER__", self);
    swprintf(command, LONGEST_COMMAND, L"\"%ls\\%ls\"%ls", home, name, own_arguments());

    /* The child's own children may outlive it, as they may with CPython's launcher. */
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    HANDLE job = CreateJobObjectW(NULL, NULL);
    if (QueryInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL)) {
        limits.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
        SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    }
    SetConsoleCtrlHandler(leave_it_to_the_child, TRUE);
    return run_and_wait(command, job);
}
