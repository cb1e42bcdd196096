/* python.exe. The wheel that brings python311.dll has no program for the command line; CPython's own calls Py_Main, too. */
#include <stdio.h>
#include <windows.h>

typedef int (*py_main)(int, wchar_t **);

int wmain(int argc, wchar_t **argv)
{
    HMODULE library = LoadLibraryW(L"python311.dll");
    py_main main = library ? (py_main)(void *)GetProcAddress(library, "Py_Main") : NULL;
    if (!main) {
        fwprintf(stderr, L"python311.dll cannot be loaded (%lu)\n", GetLastError());
        return 1;
    }
    return main(argc, argv);
}
