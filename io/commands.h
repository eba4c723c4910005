/* commands.h - the sub-commands of this folder. */
#ifndef IO_COMMANDS_H
#define IO_COMMANDS_H
#include "base/settings.h"

extern const struct command command_phantom, command_pack, command_inspect;
#endif
