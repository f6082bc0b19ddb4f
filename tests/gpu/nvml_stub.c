/* A libnvidia-ml of one process, for tests without an NVIDIA GPU.
 *
 * It has what nvidia-ml-py calls for the statistics, with NVIDIA's signatures (nvml.h). Figures come
 * from the environment: NVML_STUB_COUNT, _KERNEL, _MEMORY (per cent), _USED (bytes), _TEMPERATURE.
 * A variable with a function's own name makes it fail with that nvmlReturn_t.
 *
 * Built with -DNEW_DRIVER it lacks nvmlDeviceGetTemperature, which CUDA 14 is to remove.
 */
#include <stdio.h>
#include <stdlib.h>

enum { SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, INSUFFICIENT_SIZE = 7 };

typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int version, sensor; int temperature; } temperature_t;

static int initialised;
static int devices[8];

static unsigned long long setting(const char *name, unsigned long long otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

#define RETURN_ERROR_THAT_IS_SET() \
    if (setting(__func__, SUCCESS)) return (int)setting(__func__, SUCCESS)
#define NEED_LIBRARY() \
    RETURN_ERROR_THAT_IS_SET(); \
    if (!initialised) return UNINITIALIZED
#define NEED_DEVICE(device) \
    NEED_LIBRARY(); \
    if ((device) < devices || (device) >= devices + count()) return INVALID_ARGUMENT

static unsigned int count(void) { return (unsigned int)setting("NVML_STUB_COUNT", 1); }

int nvmlInitWithFlags(unsigned int flags) {
    RETURN_ERROR_THAT_IS_SET();
    initialised++;
    return flags == 0 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    NEED_LIBRARY();
    initialised--;
    return SUCCESS;
}

const char *nvmlErrorString(int result) {
    static char text[32];
    snprintf(text, sizeof text, "stub error %d", result);
    return text;
}

int nvmlDeviceGetCount_v2(unsigned int *found) {
    NEED_LIBRARY();
    *found = count();
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, int **device) {
    NEED_LIBRARY();
    if (index >= count()) return INVALID_ARGUMENT;
    *device = &devices[index];
    return SUCCESS;
}

int nvmlDeviceGetName(int *device, char *name, unsigned int length) {
    NEED_DEVICE(device);
    int needed = snprintf(name, length, "Stub GPU %d", (int)(device - devices));
    return needed < (int)length ? SUCCESS : INSUFFICIENT_SIZE;
}

int nvmlDeviceGetUtilizationRates(int *device, utilization_t *rates) {
    NEED_DEVICE(device);
    rates->gpu = (unsigned int)setting("NVML_STUB_KERNEL", 0);
    rates->memory = (unsigned int)setting("NVML_STUB_MEMORY", 0);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(int *device, memory_t *memory) {
    NEED_DEVICE(device);
    memory->total = 12ULL << 30;
    memory->used = setting("NVML_STUB_USED", 0);
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

#ifndef NEW_DRIVER
int nvmlDeviceGetTemperature(int *device, unsigned int sensor, unsigned int *temperature) {
    NEED_DEVICE(device);
    if (sensor != 0) return NOT_SUPPORTED;
    *temperature = (unsigned int)setting("NVML_STUB_TEMPERATURE", 0);
    return SUCCESS;
}
#endif

int nvmlDeviceGetTemperatureV(int *device, temperature_t *temperature) {
    NEED_DEVICE(device);
    if (temperature->version != (sizeof *temperature | 1u << 24)) return INVALID_ARGUMENT;
    if (temperature->sensor != 0) return NOT_SUPPORTED;
    temperature->temperature = (int)setting("NVML_STUB_TEMPERATURE", 0);
    return SUCCESS;
}
