/* `kernel.c` as an operator of ONNX Runtime: BitSerial, of the domain "sartor".
 *
 * What is declared here of ONNX Runtime's interface for C (version 17 and later) is what is used:
 * functions stand in one table at fixed places, to which new versions only append.
 */
#include "kernel.c"

enum { FLOAT = 1, INT64 = 7 };
enum { REQUIRED = 0 };
enum { INVALID_ARGUMENT = 2, FAILED = 1 };
#define API_VERSION 17

typedef struct Status Status;
typedef struct Value Value;
typedef struct Shape Shape;
typedef struct Context Context;
typedef struct Info Info;
typedef struct Domain Domain;
typedef struct SessionOptions SessionOptions;
typedef void (*Function)(void);
typedef struct { Function table[512]; } Api;
typedef struct {
    const Api *(*get)(uint32_t version);
    const char *(*version)(void);
} ApiBase;

/* Places in the table. */
enum {
    CREATE_STATUS = 0,
    CREATE_DOMAIN = 26,
    ADD_TO_DOMAIN = 27,
    ADD_DOMAIN = 28,
    TENSOR_DATA = 51,
    COUNT_DIMENSIONS = 61,
    DIMENSIONS = 62,
    SHAPE_OF = 65,
    RELEASE_SHAPE = 99,
    FLOAT_ATTRIBUTE = 85,
    INT_ATTRIBUTE = 86,
    GET_INPUT = 90,
    GET_OUTPUT = 91,
    PARALLEL_FOR = 274
};

typedef Status *(*CreateStatus)(int code, const char *message);
typedef Status *(*CreateDomain)(const char *name, Domain **domain);
typedef Status *(*AddToDomain)(Domain *domain, const void *operator);
typedef Status *(*AddDomain)(SessionOptions *options, Domain *domain);
typedef Status *(*TensorData)(Value *value, void **data);
typedef Status *(*ShapeOf)(const Value *value, Shape **shape);
typedef Status *(*CountDimensions)(const Shape *shape, size_t *count);
typedef Status *(*Dimensions)(const Shape *shape, int64_t *dimensions, size_t count);
typedef void (*ReleaseShape)(Shape *shape);
typedef Status *(*FloatAttribute)(const Info *info, const char *name, float *value);
typedef Status *(*IntAttribute)(const Info *info, const char *name, int64_t *value);
typedef Status *(*GetInput)(const Context *context, size_t index, const Value **value);
typedef Status *(*GetOutput)(
    Context *context, size_t index, const int64_t *dimensions, size_t count, Value **value);
typedef Status *(*ParallelFor)(
    const Context *context, void (*body)(void *, size_t), size_t total, size_t batches, void *data);

/* The head of OrtCustomOp, up to what version 17 has. */
typedef struct Operator {
    uint32_t version;
    void *(*create)(const struct Operator *operator, const Api *api, const Info *info);
    const char *(*name)(const struct Operator *operator);
    const char *(*provider)(const struct Operator *operator);
    int (*input_type)(const struct Operator *operator, size_t index);
    size_t (*input_count)(const struct Operator *operator);
    int (*output_type)(const struct Operator *operator, size_t index);
    size_t (*output_count)(const struct Operator *operator);
    void (*compute)(void *kernel, Context *context);
    void (*destroy)(void *kernel);
    int (*input_kind)(const struct Operator *operator, size_t index);
    int (*output_kind)(const struct Operator *operator, size_t index);
    int (*memory)(const struct Operator *operator, size_t index);
    int (*fewest_inputs)(const struct Operator *operator);
    int (*equal_inputs)(const struct Operator *operator);
    int (*fewest_outputs)(const struct Operator *operator);
    int (*equal_outputs)(const struct Operator *operator);
    Status *(*create_kernel)(
        const struct Operator *operator, const Api *api, const Info *info, void **kernel);
    Status *(*compute_kernel)(void *kernel, Context *context);
    void *infer_shape;
    int (*first_version)(const struct Operator *operator);
    int (*last_version)(const struct Operator *operator);
} Operator;

#define MOST_DIMENSIONS 8
#define INPUTS 5
#define TRY(call) do { Status *status_ = (call); if (status_) return status_; } while (0)
#define CALL(api, kind, place) ((kind)(api)->table[place])

typedef struct {
    const Api *api;
    Layer layer;                           /* what follows from the input is filled in later */
    int64_t channels_last;
    float scale;
    float zero;
} Kernel;

static Status *failure(const Api *api, int code, const char *message) {
    return CALL(api, CreateStatus, CREATE_STATUS)(code, message);
}

static Status *create_kernel(
    const Operator *operator, const Api *api, const Info *info, void **created)
{
    (void)operator;
    Kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return failure(api, FAILED, "BitSerial: no memory is left");
    kernel->api = api;
    Layer *layer = &kernel->layer;
    const struct { const char *name; int64_t *value; } numbers[] = {
        {"in_channels", &layer->in_channels},
        {"out_channels", &layer->out_channels},
        {"kernel_height", &layer->kernel_height},
        {"kernel_width", &layer->kernel_width},
        {"stride_y", &layer->stride_y},
        {"stride_x", &layer->stride_x},
        {"dilation_y", &layer->dilation_y},
        {"dilation_x", &layer->dilation_x},
        {"pad_top", &layer->pad_top},
        {"pad_left", &layer->pad_left},
        {"pad_bottom", &layer->pad_bottom},
        {"pad_right", &layer->pad_right},
        {"weight_bits", &layer->weight_bits},
        {"activation_bits", &layer->activation_bits},
        {"channels_last", &kernel->channels_last},
    };
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++)
        TRY(CALL(api, IntAttribute, INT_ATTRIBUTE)(
            info, numbers[index].name, numbers[index].value));
    TRY(CALL(api, FloatAttribute, FLOAT_ATTRIBUTE)(info, "scale", &kernel->scale));
    TRY(CALL(api, FloatAttribute, FLOAT_ATTRIBUTE)(info, "zero", &kernel->zero));
    *created = kernel;
    return NULL;
}

static Status *dimensions_of(
    const Api *api, const Value *value, int64_t *dimensions, size_t *count)
{
    Shape *shape;
    TRY(CALL(api, ShapeOf, SHAPE_OF)(value, &shape));
    Status *status = CALL(api, CountDimensions, COUNT_DIMENSIONS)(shape, count);
    if (!status && *count > MOST_DIMENSIONS)
        status = failure(api, INVALID_ARGUMENT, "BitSerial: the input has too many axes");
    if (!status)
        status = CALL(api, Dimensions, DIMENSIONS)(shape, dimensions, *count);
    CALL(api, ReleaseShape, RELEASE_SHAPE)(shape);
    return status;
}

/* Fill in what follows from the input's shape, which becomes the output's; return the images. */
static int64_t images_of(const Kernel *kernel, Layer *layer, int64_t *dimensions, size_t count) {
    if (kernel->channels_last) {
        int64_t pixels = 1;
        for (size_t axis = 0; axis + 1 < count; axis++)
            pixels *= dimensions[axis];
        layer->height = layer->out_height = 1;
        layer->width = layer->out_width = pixels;
        layer->in_channel_step = layer->out_channel_step = 1;
        layer->in_pixel_step = layer->in_channels;
        layer->out_pixel_step = layer->out_channels;
        dimensions[count - 1] = layer->out_channels;
        return pixels > 0;
    }

    layer->height = dimensions[2];
    layer->width = dimensions[3];
    const int64_t reach_y = layer->dilation_y * (layer->kernel_height - 1) + 1;
    const int64_t reach_x = layer->dilation_x * (layer->kernel_width - 1) + 1;
    const int64_t height = layer->height + layer->pad_top + layer->pad_bottom;
    const int64_t width = layer->width + layer->pad_left + layer->pad_right;
    layer->out_height = (height - reach_y) / layer->stride_y + 1;
    layer->out_width = (width - reach_x) / layer->stride_x + 1;
    layer->in_pixel_step = layer->out_pixel_step = 1;
    layer->in_channel_step = layer->height * layer->width;
    layer->out_channel_step = layer->out_height * layer->out_width;
    dimensions[1] = layer->out_channels;
    dimensions[2] = layer->out_height;
    dimensions[3] = layer->out_width;
    return dimensions[0];
}

typedef struct {
    const Layer *layer;
    const Packed *packed;
    const Weights *weights;
    float *output;
} Image;

static void compute_block(void *data, size_t block) {
    const Image *image = data;
    convolve(image->layer, image->packed, image->weights, (int64_t)block, image->output);
}

static Status *compute_images(
    const Kernel *kernel, const Context *context, const Layer *layer, const Weights *weights,
    int64_t images, const float *input, float *output)
{
    Packed packed = {0};
    Status *status = NULL;
    int is_done = allocate(layer, &packed);
    const size_t blocks = (size_t)((layer->out_channels + LANES - 1) / LANES);
    for (int64_t number = 0; number < images && is_done && !status; number++) {
        is_done = pack(layer, input, kernel->scale, kernel->zero, &packed);
        Image image = {layer, &packed, weights, output};
        if (is_done)
            status = CALL(kernel->api, ParallelFor, PARALLEL_FOR)(
                context, compute_block, blocks, 0, &image);
        input += layer->in_channels * layer->height * layer->width;
        output += layer->out_channels * layer->out_height * layer->out_width;
    }
    release(&packed);
    if (!is_done && !status)
        status = failure(kernel->api, FAILED, "BitSerial: no memory is left");
    return status;
}

static Status *compute_kernel(void *opaque, Context *context) {
    const Kernel *kernel = opaque;
    const Api *api = kernel->api;
    void *data[INPUTS];
    int64_t dimensions[MOST_DIMENSIONS];
    size_t count = 0;
    for (size_t index = 0; index < INPUTS; index++) {
        const Value *value;
        TRY(CALL(api, GetInput, GET_INPUT)(context, index, &value));
        if (!index)
            TRY(dimensions_of(api, value, dimensions, &count));
        TRY(CALL(api, TensorData, TENSOR_DATA)((Value *)value, &data[index]));
    }
    Layer layer = kernel->layer;
    const size_t axis = kernel->channels_last ? count - 1 : 1;
    if ((!kernel->channels_last && count != 4) || dimensions[axis] != layer.in_channels)
        return failure(api, INVALID_ARGUMENT, "BitSerial: the input has another shape");

    const int64_t images = images_of(kernel, &layer, dimensions, count);
    Value *result;
    void *output;
    TRY(CALL(api, GetOutput, GET_OUTPUT)(context, 0, dimensions, count, &result));
    TRY(CALL(api, TensorData, TENSOR_DATA)(result, &output));
    const Weights weights = {data[1], data[2], data[3], data[4]};
    return compute_images(kernel, context, &layer, &weights, images, data[0], output);
}

static const char *name(const Operator *operator) { (void)operator; return "BitSerial"; }
static const char *provider(const Operator *operator) {
    (void)operator;
    return "CPUExecutionProvider";
}
static int input_type(const Operator *operator, size_t index) {
    (void)operator;
    return index == 1 ? INT64 : FLOAT;
}
static int output_type(const Operator *operator, size_t index) {
    (void)operator;
    (void)index;
    return FLOAT;
}
static size_t input_count(const Operator *operator) { (void)operator; return INPUTS; }
static size_t output_count(const Operator *operator) { (void)operator; return 1; }
static int kind(const Operator *operator, size_t index) {
    (void)operator;
    (void)index;
    return REQUIRED;
}
static int memory(const Operator *operator, size_t index) {
    (void)operator;
    (void)index;
    return 0;
}
static int one(const Operator *operator) { (void)operator; return 1; }
static int last_version(const Operator *operator) { (void)operator; return INT32_MAX; }

static const Operator BIT_SERIAL = {
    .version = API_VERSION,
    .name = name,
    .provider = provider,
    .input_type = input_type,
    .input_count = input_count,
    .output_type = output_type,
    .output_count = output_count,
    .destroy = free,
    .input_kind = kind,
    .output_kind = kind,
    .memory = memory,
    .fewest_inputs = one,
    .equal_inputs = one,
    .fewest_outputs = one,
    .equal_outputs = one,
    .create_kernel = create_kernel,
    .compute_kernel = compute_kernel,
    .first_version = one,
    .last_version = last_version,
};

/* What ONNX Runtime calls when it is told of this library. */
Status *RegisterCustomOps(SessionOptions *options, const ApiBase *base) {
    const Api *api = base->get(API_VERSION);
    static Domain *domain = NULL;
    if (!domain) {
        TRY(CALL(api, CreateDomain, CREATE_DOMAIN)("sartor", &domain));
        TRY(CALL(api, AddToDomain, ADD_TO_DOMAIN)(domain, &BIT_SERIAL));
    }
    return CALL(api, AddDomain, ADD_DOMAIN)(options, domain);
}
