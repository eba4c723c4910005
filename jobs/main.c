/* main.c - the program `ladnn`: finds the sub-command, reads its settings and runs it.
 *
 * Exit status: the command's own (0 = well), 1 for an error, 2 when the command line or a settings file is wrong.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings.h"
#include "base/text.h"
#include "jobs/commands.h"

enum { STATUS_ERROR = 1, STATUS_USAGE = 2 };

static const struct command *const commands[] = {
    &command_phantom, &command_pack, &command_inspect, &command_train, &command_eval, &command_explain, &command_grid, &command_report,
    &command_weights, &command_bench, &command_doctor};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_overview(FILE *to)
{
    fprintf(to, "ladnn %s - distributed training of lesion-attention networks for COVID-19 CT diagnosis\n\n", LADNN_VERSION);
    fprintf(to, "usage: ladnn COMMAND [--name VALUE ...] [--set KEY=VALUE ...] [--config FILE ...]\n\ncommands:\n");
    for (int i = 0; i < COMMANDS; i++) fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to, "\nladnn COMMAND --help lists the settings of a command; ladnn --version prints the version.\n"
                "Several ranks: mpirun -np 4 ladnn COMMAND ..., or srun in a Slurm job.\n");
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static const char *nearest_command(const char *name)
{
    const char *best = NULL;
    int least = 3;
    for (int i = 0; i < COMMANDS; i++) {
        int distance = text_distance(name, commands[i]->name);
        if (distance >= least) continue;
        least = distance;
        best = commands[i]->name;
    }
    return best;
}

/* The launcher's rank, so that a mistake in the command line is told once; MPI is not running yet. */
static bool speaks(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *rank = getenv(variables[i]);
        if (rank) return atoi(rank) == 0;
    }
    return true;
}

static void say(const struct command *command, const struct error *err)
{
    if (speaks()) fprintf(stderr, "ladnn %s: %s\n", command->name, err->message);
    if (speaks() && *err->hint) fprintf(stderr, "hint: %s\n", err->hint);
}

static int unknown_command(const char *name)
{
    const char *nearest = nearest_command(name);
    fprintf(stderr, "ladnn: unknown command '%s'\n", name);
    if (nearest)
        fprintf(stderr, "hint: did you mean 'ladnn %s'?\n", nearest);
    else
        fprintf(stderr, "hint: ladnn --help lists the commands\n");
    return STATUS_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct settings *s = settings_open(command);
    struct error err = {0};
    bool help;
    int status = 0;
    if (settings_read_arguments(s, argc, argv, &help, &err))
        status = STATUS_USAGE;
    else if (!help && (command->on_ranks || speaks()))
        status = command->run(s, &err);
    if (status < 0) status = STATUS_ERROR;
    if (status && *err.message) say(command, &err);
    settings_close(s);
    return status;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        if (speaks()) print_overview(stderr);
        return STATUS_USAGE;
    }
    if (!strcmp(name, "--version")) {
        printf("ladnn %s\n", LADNN_VERSION);
        return 0;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_overview(stdout);
        return 0;
    }
    const struct command *command = find_command(name);
    if (!command) return speaks() ? unknown_command(name) : STATUS_USAGE;
    return run_command(command, argc - 1, argv + 1);
}
