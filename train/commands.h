/* commands.h - the sub-commands of this folder. */
#ifndef TRAIN_COMMANDS_H
#define TRAIN_COMMANDS_H
#include "base/settings.h"

extern const struct command command_train, command_eval, command_bench;
#endif
