/* Lets a program under callgrind say where the parts begin that are counted. Without callgrind,
   these functions do nothing. */
#include <valgrind/callgrind.h>

void start_counting(void)
{
    CALLGRIND_START_INSTRUMENTATION;
}

void begin_part(void)
{
    CALLGRIND_ZERO_STATS;
}

void end_part(const char *name)
{
    CALLGRIND_DUMP_STATS_AT(name);
}
