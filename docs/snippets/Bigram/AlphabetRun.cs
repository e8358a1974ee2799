namespace Grpo.Snippets;

/// <summary>Pays for each letter that is the successor of the letter before it.</summary>
public sealed class SuccessorReward : CompletionReward
{
    public override Reward Score(Prompt prompt, Completion completion)
    {
        string text = prompt.Messages[^1].Text + completion.Text;
        int successors = text.Zip(text.Skip(1)).Count(pair => pair.Second == pair.First + 1);
        return successors / 8.0;
    }
}

/// <summary>Trains a bigram model to recite the alphabet; a few seconds on any machine.</summary>
public static class AlphabetRun
{
    public static async Task<IReadOnlyList<double>> TrainAsync(long steps, CancellationToken cancellationToken = default)
    {
        var tokenizer = new LetterTokenizer();
        using var policy = new BigramPolicy(tokenizer.VocabularySize);
        using var optimizer = new GrpoOptimizer(
            policy,
            new PolicyGroupSampler(tokenizer, new LastMessageTemplate()),
            new SuccessorReward(),
            new GrpoOptions
            {
                GroupSize = 16,
                PromptsPerStep = 18,
                MicroBatchSize = 288,
                LearningRate = 0.1,
                Sampling = { MaxCompletionTokens = 8 },
            });

        // a to r: after these, eight successors are left in the alphabet.
        Prompt[] prompts = [.. Enumerable.Range(0, 18).Select(i => Prompt.Create($"letter/{i}", ((char)('a' + i)).ToString()))];
        var trainer = new GrpoTrainer(optimizer, prompts, new TrainerOptions { Steps = steps });
        var rewards = new List<double>();
        await foreach (TrainingStep step in trainer.RunAsync(cancellationToken))
        {
            rewards.Add(step.Report.MeanReward);
        }

        return rewards;
    }
}
