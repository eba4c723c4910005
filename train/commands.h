/* commands.h - the sub-commands of this folder. */
#ifndef TRAIN_COMMANDS_H
#define TRAIN_COMMANDS_H
#include "base/settings.h"

/* For doctor: the card that this process could train on, in a line; -1 with err when there is none. */
int accelerator_look(char *what, size_t bytes, struct error *err);
extern const struct command command_train, command_eval, command_explain, command_bench, command_weights;
#endif
