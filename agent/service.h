/* service.h - how does the system start this program, and how does it say stop?
 *
 * One door, one file a system: service_posix.c takes signals, Windows has its service manager. Used
 * by agent_main.c. */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H

#include <stdbool.h>

/* The program's work; returns its exit code. */
typedef int service_body(void *context);

/* Runs body as the system wants a service run, and returns its exit code. Files made from here on
 * are for the program's user alone; a closed pipe does not end it. */
int service_run(service_body *body, void *context);
/* The system, or a person at the terminal, wants the program to end. */
bool service_is_ending(void);

#endif
