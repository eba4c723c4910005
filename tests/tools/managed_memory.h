/* managed_memory.h - see managed_memory.c. */
#ifndef TESTS_MANAGED_MEMORY_H
#define TESTS_MANAGED_MEMORY_H
void managed_memory_start(void); /* once a card is open */
#endif
