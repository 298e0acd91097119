/* Layers of all pairs of bits in the kernel, held against plain sums of products. */
#include <stdio.h>
#include "kernel.c"

static Layer layer_of(
    int in, int out, int side, int kernel, int stride, int pad, int bits, int read)
{
    const int out_side = (side + 2 * pad - kernel) / stride + 1;
    return (Layer){
        .in_channels = in, .out_channels = out,
        .height = side, .width = side, .out_height = out_side, .out_width = out_side,
        .kernel_height = kernel, .kernel_width = kernel,
        .stride_y = stride, .stride_x = stride, .dilation_y = 1, .dilation_x = 1,
        .pad_top = pad, .pad_left = pad, .pad_bottom = pad, .pad_right = pad,
        .weight_bits = bits, .activation_bits = read,
        .in_channel_step = side * side, .in_pixel_step = 1,
        .out_channel_step = out_side * out_side, .out_pixel_step = 1,
    };
}

/* Weights from 0 on, (out channels, taps, in channels), and their bits as the kernel reads them. */
static void draw(const Layer *layer, int *weights, uint64_t *planes) {
    const int64_t taps = layer->kernel_height * layer->kernel_width;
    const int64_t words = (layer->in_channels + WORD - 1) / WORD;
    const int64_t bits = layer->weight_bits;
    for (int64_t o = 0; o < layer->out_channels; o++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t c = 0; c < layer->in_channels; c++) {
                const int value = rand() % (1 << bits);
                weights[(o * taps + tap) * layer->in_channels + c] = value;
                for (int64_t bit = 0; bit < bits; bit++) {
                    const int64_t word = ((o / LANES * taps + tap) * words + c / WORD) * bits + bit;
                    planes[word * LANES + o % LANES] |= (uint64_t)(value >> bit & 1) << c % WORD;
                }
            }
}

static long expected(
    const Layer *layer, const int *weights, const float *x, int64_t o, int64_t y, int64_t column)
{
    const int64_t taps = layer->kernel_height * layer->kernel_width;
    const int half = 1 << (layer->weight_bits - 1);
    long sum = 0;
    for (int64_t tap = 0; tap < taps; tap++) {
        const int64_t row = y * layer->stride_y + tap / layer->kernel_width - layer->pad_top;
        const int64_t at = column * layer->stride_x + tap % layer->kernel_width - layer->pad_left;
        if (row < 0 || at < 0 || row >= layer->height || at >= layer->width)
            continue;
        for (int64_t c = 0; c < layer->in_channels; c++)
            sum += (weights[(o * taps + tap) * layer->in_channels + c] - half)
                * (long)x[(c * layer->height + row) * layer->width + at];
    }
    return sum;
}

static int wrong_outputs(const Layer *layer) {
    const int64_t taps = layer->kernel_height * layer->kernel_width;
    const int64_t words = (layer->in_channels + WORD - 1) / WORD;
    const int64_t blocks = (layer->out_channels + LANES - 1) / LANES;
    const int64_t pixels = layer->height * layer->width;
    const size_t planes = (size_t)(blocks * taps * words * layer->weight_bits * LANES);

    float *x = malloc((size_t)(layer->in_channels * pixels) * sizeof *x);
    for (int64_t index = 0; index < layer->in_channels * pixels; index++)
        x[index] = (float)(rand() % (1 << layer->activation_bits));
    const size_t products = (size_t)(layer->out_channels * taps * layer->in_channels);
    int *weights = malloc(products * sizeof *weights);
    uint64_t *bits = aligned_alloc(sizeof(lanes), planes * sizeof *bits);
    memset(bits, 0, planes * sizeof *bits);
    draw(layer, weights, bits);

    float scale[MOST_BITS * LANES], offset[MOST_BITS * LANES], bias[MOST_BITS * LANES];
    for (int64_t o = 0; o < layer->out_channels; o++) {
        scale[o] = 1.0f;
        offset[o] = (float)(1 << (layer->weight_bits - 1));
        bias[o] = 0.0f;
    }
    const size_t outputs = (size_t)(layer->out_channels * layer->out_channel_step);
    float *output = malloc(outputs * sizeof *output);
    const Weights given = {bits, scale, offset, bias};
    Packed packed = {0};
    allocate(layer, &packed);
    pack(layer, x, 1.0f, 0.0f, &packed);
    for (int64_t block = 0; block < blocks; block++)
        convolve(layer, &packed, &given, block, output);

    int wrong = 0;
    for (int64_t o = 0; o < layer->out_channels; o++)
        for (int64_t y = 0; y < layer->out_height; y++)
            for (int64_t column = 0; column < layer->out_width; column++) {
                const int64_t place = y * layer->out_width + column;
                wrong += output[o * layer->out_channel_step + place]
                    != (float)expected(layer, weights, x, o, y, column);
            }
    release(&packed);
    free(x);
    free(weights);
    free(bits);
    free(output);
    return wrong;
}

int main(void) {
    int wrong = 0;
    for (int bits = 1; bits <= MOST_BITS; bits++)
        for (int read = 1; read <= MOST_BITS; read++) {
            const Layer strided = layer_of(70, 13, 7, 3, 2, 1, bits, read);
            const Layer pointwise = layer_of(128, 16, 5, 1, 1, 0, bits, read);
            wrong += wrong_outputs(&strided) + wrong_outputs(&pointwise);
        }
    printf("%d wrong\n", wrong);
}
