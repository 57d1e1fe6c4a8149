# What builds for 64-bit Windows: mingw-w64's gcc (win32 threads), and the libraries third_party.sh made for it.
# CASFLEET_WINDOWS_PREFIX names their folder; where it is not given, third_party.sh is asked, which makes it when needed.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_VERSION 6.3) # Windows Server 2012 R2
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-win32)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-win32)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CASFLEET_WINDOWS_PREFIX)
if(NOT CASFLEET_WINDOWS_PREFIX)
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/third_party.sh
    OUTPUT_VARIABLE made OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(CASFLEET_WINDOWS_PREFIX ${made} CACHE PATH "third-party libraries for Windows" FORCE)
endif()

# Nothing of this machine's own libraries may be found.
set(CMAKE_FIND_ROOT_PATH ${CASFLEET_WINDOWS_PREFIX})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${CASFLEET_WINDOWS_PREFIX}/lib/pkgconfig)
set(ENV{PKG_CONFIG_PATH} "")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "")
set(CMAKE_C_STANDARD_INCLUDE_DIRECTORIES ${CASFLEET_WINDOWS_PREFIX}/include)

# -static: only Windows' own DLLs are left. The linker would write the time into the file.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -Wl,--no-insert-timestamp")
find_program(CASFLEET_WINE wine)
if(CASFLEET_WINE)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${CASFLEET_WINE})
endif()
