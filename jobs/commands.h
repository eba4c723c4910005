/* commands.h - the sub-commands of ladnn. Each lives in jobs/cmd_NAME.c; main.c lists them. */
#ifndef JOBS_COMMANDS_H
#define JOBS_COMMANDS_H
#include "base/settings.h"

extern const struct command command_train;
extern const struct command command_eval;
extern const struct command command_pack;
extern const struct command command_inspect;
extern const struct command command_phantom;
extern const struct command command_bench;
extern const struct command command_doctor;
#endif
