/* ExSetup.exe: nothing but its version. */
int main(void)
{
    return 0;
}
