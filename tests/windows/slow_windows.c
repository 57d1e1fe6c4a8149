/* slow.exe SECONDS: a service that takes long to start: it says nothing to the service manager,
 * which starts no other one until it loses patience. */
#include <stdlib.h>
#include <windows.h>

int main(int argc, char **argv)
{
    Sleep(argc == 2 ? (DWORD)strtoul(argv[1], NULL, 10) * 1000 : 0);
    return EXIT_SUCCESS;
}
