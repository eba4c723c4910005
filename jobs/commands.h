/* commands.h - the sub-commands of ladnn, in the order of the data. Each lives in the room whose work it does (cmd_NAME.c);
 * main.c only knows their names. */
#ifndef JOBS_COMMANDS_H
#define JOBS_COMMANDS_H
#include "io/commands.h"
#include "train/commands.h"

extern const struct command command_doctor, command_grid, command_report;
#endif
