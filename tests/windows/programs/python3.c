/* python3.dll, which extensions for the stable ABI are linked with. All that it exports is forwarded to python311.dll by
   the definition file that is written when it is made. */
int DllMain(void *instance, unsigned long reason, void *reserved)
{
    return 1;
}
