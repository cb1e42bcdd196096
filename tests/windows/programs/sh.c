/* sh.exe, of which git needs one thing: `sh -c "PROGRAM 'ARGUMENT' ..." [NAME [ARGUMENT ...]]`, to start git-upload-pack.
   It knows quoted words, but no variables but "$@", no pipes and no scripts, so hooks do not run. */
#include "child.h"

int wmain(int argc, wchar_t **argv)
{
    static wchar_t command[LONGEST_COMMAND];
    wchar_t *out = command, *word = command, quote = 0;
    int in_word = 0;
    if (argc < 3 || wcscmp(argv[1], L"-c")) {
        fwprintf(stderr, L"sh: this one knows only -c\n");
        return 127;
    }
    for (const wchar_t *c = argv[2]; *c; c++) {
        if (!quote && (*c == L' ' || *c == L'\t')) {
            if (in_word) {
                *out++ = L'"';
                *out++ = L' ';
            }
            in_word = 0;
            continue;
        }
        if (!in_word) {
            *out++ = L'"';
            word = out;
        }
        in_word = 1;
        if (!quote && (*c == L'\'' || *c == L'"')) {
            quote = *c;
        } else if (*c == quote) {
            quote = 0;
        } else if (quote == L'"' && !wcsncmp(c, L"$@", 2)) {
            c++; /* What it stands for is added below. */
        } else {
            if (quote != L'\'' && *c == L'\\' && c[1])
                c++;
            /* As the shell of Git for Windows does: the path /C:/folder of a URL is C:/folder. */
            if (*c == L':' && out - word == 2 && word[0] == L'/') {
                word[0] = word[1];
                out--;
            }
            *out++ = *c;
        }
    }
    if (in_word)
        *out++ = L'"';
    *out = 0;
    for (int i = 4; i < argc; i++) {
        wcscat(command, L" \"");
        wcscat(command, argv[i]);
        wcscat(command, L"\"");
    }
    return run_and_wait(command, NULL);
}
