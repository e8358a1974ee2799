using Grpo.IO;
using Grpo.Optimization;
using Grpo.Planning;

namespace Grpo.Core.Tests.Planning;

public sealed class PassSizesTests
{
    [Theory]
    [InlineData(64, null, 4, 32)] // all: 4 · 8
    [InlineData(20, null, 2, 16)] // whole groups
    [InlineData(5, null, 1, 5)] // a part of a group
    [InlineData(64, 299L, 1, 3)] // 3 · (50 + 50 − 1) = 297
    [InlineData(64, 9L, 1, 1)] // the sampler refuses it
    public void Rollout_decodes_whole_groups_where_they_fit(int concurrent, long? cached, int prompts, int rows)
    {
        GrpoOptions options = Options(microBatch: 8);
        options.Sampling.MaxConcurrentSequences = concurrent;
        options.Sampling.MaxCachedTokens = cached;
        MemorySizes sizes = PassSizes.From(options, canShare: true);
        Assert.Equal((prompts, rows), ((int)sizes.DecodedPrompts, (int)sizes.DecodedSequences));
        Assert.Equal(99, sizes.CachedLength);
    }

    [Theory]
    [InlineData(8, 1)] // a group each
    [InlineData(4, 1)] // half a group
    [InlineData(3, 2)] // the third begins at 6
    [InlineData(12, 2)] // 8 + 4
    [InlineData(10, 2)] // 8 + 2 | 6 + 4 | 4 + 6
    [InlineData(11, 3)] // 1 + 8 + 2, where one begins with the last of a group
    [InlineData(32, 4)]
    [InlineData(100, 4)] // no more than there are
    public void Micro_batch_spans_the_most_prompts_that_it_can(int microBatch, int prompts)
    {
        MemorySizes sizes = PassSizes.From(Options(microBatch), canShare: true);
        Assert.Equal(prompts, (int)sizes.MicroBatchPrompts);
        Assert.Equal(Math.Min(microBatch, 32), (int)sizes.MicroBatchSequences);
        Assert.Equal(microBatch < 32, sizes.HasOtherMicroBatches);
    }

    [Theory]
    [InlineData(450, true, 8)] // 50 + 8 · 50
    [InlineData(449, true, 6)] // 7 may be of two prompts, 2 · 50 + 7 · 50 = 450; 6 of two are 400
    [InlineData(450, false, 4)] // 100 each
    [InlineData(1, false, 1)] // a sequence is never cut
    public void Token_budget_limits_the_micro_batch(int budget, bool shares, int sequences)
    {
        GrpoOptions options = Options(microBatch: 8) with { MaxTokensPerMicroBatch = budget };
        MemorySizes sizes = PassSizes.From(options, shares);
        Assert.Equal((sequences, shares), ((int)sizes.MicroBatchSequences, sizes.SharesPrompts));
    }

    [Theory]
    [InlineData(0L, "0 B")]
    [InlineData(999L, "999 B")]
    [InlineData(1_000L, "1.00 kB")]
    [InlineData(9_994L, "9.99 kB")]
    [InlineData(9_996L, "10.0 kB")]
    [InlineData(99_960L, "100 kB")]
    [InlineData(999_600L, "1.00 MB")]
    [InlineData(24_000_000_000L, "24.0 GB")]
    [InlineData(long.MaxValue, "9.22 EB")]
    public void Bytes_have_three_digits(long bytes, string text) => Assert.Equal(text, ByteText.Format(bytes));

    private static GrpoOptions Options(int microBatch) => new()
    {
        GroupSize = 8,
        PromptsPerStep = 4,
        MicroBatchSize = microBatch,
        Sampling = new SamplingOptions { MaxPromptTokens = 50, MaxCompletionTokens = 50 },
    };
}
