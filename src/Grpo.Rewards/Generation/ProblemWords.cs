namespace Grpo.Rewards.Generation;

/// <summary>The nouns and names of the problems. They are few and regular, because a small model has to learn each of them.</summary>
internal static class ProblemWords
{
    public static readonly string[] Names =
        ["Mia", "Tom", "Ann", "Ben", "Eva", "Leo", "Sue", "Max", "Lily", "Sam", "Zoe", "Jack"];

    /// <summary>Every plural is the singular with an s.</summary>
    public static readonly string[] Things =
        ["apple", "book", "card", "coin", "cup", "egg", "marble", "pen", "shell", "stamp"];

    public static readonly string[] Wares =
        ["ball", "book", "cake", "cup", "hat", "kite", "pen", "toy"];

    public static readonly (string One, string Many)[] Containers =
        [("box", "boxes"), ("bag", "bags"), ("basket", "baskets")];

    public static readonly (string First, string Second)[] Days =
        [("Monday", "Tuesday"), ("Tuesday", "Friday"), ("Friday", "Saturday"), ("Saturday", "Sunday")];

    public static readonly string[] Times = ["In the morning", "At noon", "In the evening", "The next day"];
}
